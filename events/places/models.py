"""What a row needs to stand somewhere on the earth."""

from sqlmodel import SQLModel

from .geo import Point


class Located(SQLModel):
    """Columns of a row with a position; x, y and z (earth-centred metres) feed the spatial index."""

    latitude: float | None = None
    longitude: float | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None

    @property
    def point(self) -> Point | None:
        if self.latitude is None or self.longitude is None:
            return None
        return Point(self.latitude, self.longitude)

    def stand_at(self, point: Point | None) -> None:
        """Keeps the coordinates and what is derived from them together."""
        if point is None:
            self.latitude = self.longitude = self.x = self.y = self.z = None
            return
        self.latitude, self.longitude = point.latitude, point.longitude
        self.x, self.y, self.z = point.ecef()
