"""Pictures of strangers, made into pictures of ours: two JPEGs without anything that is not to be seen.

What a file says of itself in its first bytes is read here, so that nobody has to decode what is no picture or
far too large. Decoding runs in the sandbox, and what comes back from there is looked at as a stranger's again.
"""

import io
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from .errors import TooLarge, Unreadable, say
from .later import loaded_later
from .sandbox import Limits, run

if TYPE_CHECKING:
    from PIL import AvifImagePlugin, Image, ImageCms, ImageOps
else:
    AvifImagePlugin = loaded_later("PIL.AvifImagePlugin")
    Image = loaded_later("PIL.Image")
    ImageCms = loaded_later("PIL.ImageCms")
    ImageOps = loaded_later("PIL.ImageOps")

MOST_BYTES = 10_000_000
MOST_PIXELS = 40_000_000
LARGE = (1600, 1600)  # at most, in pixels
SMALL = (480, 1600)
QUALITY = 82
MEDIA_TYPE = "image/jpeg"
ACCEPTED = "image/jpeg,image/png,image/webp,image/gif,image/avif"  # for this list iPhones send JPEG, not HEIC
MEGA = 1_000_000

# A picture of 40 million pixels takes 160 MB, as WebP four times that.
LIMITS = Limits(cpu_s=20, memory_bytes=800_000_000, wall_s=45.0, output_bytes=8_000_000)

MOST_PARTS = 2000  # of a file, on the way to where its size stands
_LENGTH = struct.Struct(">I")  # in bytes, of the large JPEG: it goes before both

NO_PICTURE = say("This is not a picture. JPEG, PNG, WebP, GIF and AVIF files can be shown.")
HEIC = say("This is a HEIC picture, which few browsers can show. Please save it as JPEG, and upload that.")
DAMAGED = say("This picture is damaged or not complete. Please open it, save it once more, and upload that.")

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of a picture say. `format`: as Pillow calls it."""

    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is shown. Width and height in pixels, of the large one."""

    large: bytes
    small: bytes
    width: int
    height: int


def check(data: bytes) -> Header:
    """What an uploaded file is, by its first bytes. Raises TooLarge, or Unreadable for what is not taken."""
    if len(data) > MOST_BYTES:
        raise TooLarge(
            say(
                "This picture has %(size)d MB; at most %(most)d MB are possible. Please make it smaller first.",
                size=math.ceil(len(data) / MEGA),
                most=MOST_BYTES // MEGA,
            )
        )
    header = measured(data)
    _check_pixels(header.width, header.height)
    return header


def prepare(data: bytes, limits: Limits = LIMITS) -> Prepared:
    """Decodes in the sandbox. Raises Unreadable, OverLimits or Crashed."""
    output = run("events.pictures:decode", data, {}, limits)
    if len(output) < _LENGTH.size:
        raise Unreadable(DAMAGED)
    (length,) = _LENGTH.unpack_from(output)
    large, small = output[_LENGTH.size : _LENGTH.size + length], output[_LENGTH.size + length :]
    header = measured(large)
    if header.format != "JPEG" or measured(small).format != "JPEG":
        raise Unreadable(DAMAGED)
    return Prepared(large, small, header.width, header.height)


def small_width(width: int) -> int:
    """Of the small one, by the width of the large one."""
    return min(width, SMALL[0])


def _check_pixels(width: int, height: int) -> None:
    if not (width and height):
        raise Unreadable(DAMAGED)
    if width * height > MOST_PIXELS:
        raise Unreadable(
            say(
                "This picture has %(pixels)d million pixels; at most %(most)d million are possible. "
                "Please make it smaller first.",
                pixels=math.ceil(width * height / MEGA),
                most=MOST_PIXELS // MEGA,
            )
        )


# ---------------------------------------------------------------- what the first bytes say


def measured(data: bytes) -> Header:
    """Format and size. Raises Unreadable."""
    for name, is_so in _FORMATS.items():
        if is_so(data):
            try:
                return Header(name, *_SIZES[name](data))
            except (struct.error, IndexError) as error:
                raise Unreadable(DAMAGED) from error
    raise Unreadable(HEIC if _brands(data) & _HEIC_BRANDS else NO_PICTURE)


def _brands(data: bytes) -> set[bytes]:
    """What an ISO base media file (ISO/IEC 14496-12) says to be compatible with; nothing of any other."""
    if data[4:8] != b"ftyp":
        return set()
    listed = data[8 : min(int.from_bytes(data[:4]), 400)]
    return {listed[at : at + 4] for at in range(0, len(listed), 4) if at != 4}  # the second is a version


_FORMATS: Mapping[str, Callable[[bytes], bool]] = {
    "JPEG": lambda data: data.startswith(b"\xff\xd8\xff"),
    "PNG": lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"),
    "GIF": lambda data: data[:6] in (b"GIF87a", b"GIF89a"),
    "WEBP": lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP",
    "AVIF": lambda data: bool(_brands(data) & {b"avif", b"avis"}),
}


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """From the start of the frame (ITU T.81 B.2.2), past the segments before it."""
    at = 2
    for _ in range(MOST_PARTS):
        mark, kind, length = struct.unpack_from(">BBH", data, at)
        if mark != 0xFF:
            break
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        alone = kind in (0x01, *range(0xD0, 0xD9))
        at += 1 if kind == 0xFF else 2 if alone else 2 + length
    raise Unreadable(DAMAGED)


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise Unreadable(DAMAGED)
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    """Of its three kinds (RFC 9649): extended, lossless, lossy."""
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise Unreadable(DAMAGED)


def _avif_size(data: bytes) -> tuple[int, int]:
    """The largest of the images in it: a grid is larger than its tiles."""
    spans = [(0, len(data), 0)]
    for kind, skipped in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0), (b"ispe", 4)):
        spans = [
            (begin + skipped, end, 0)
            for start, stop, _ in spans
            for found, begin, end in _boxes(data, start, stop)
            if found == kind
        ]
    sizes: list[tuple[int, int]] = [struct.unpack_from(">II", data, begin) for begin, _, _ in spans]
    if not sizes:
        raise Unreadable(DAMAGED)
    return max(sizes, key=lambda size: size[0] * size[1])


def _boxes(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each box, and where its contents begin and end."""
    for _ in range(MOST_PARTS):
        if start + 8 > stop:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 16 if size == 1 else 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
        end = stop if size == 0 else min(start + size, stop)
        if end < start + head:
            return
        yield kind, start + head, end
        start = end


_SIZES: Mapping[str, Callable[[bytes], tuple[int, int]]] = {
    "JPEG": _jpeg_size,
    "PNG": _png_size,
    "GIF": _gif_size,
    "WEBP": _webp_size,
    "AVIF": _avif_size,
}


# ---------------------------------------------------------------- in the sandbox


def decode(stream: BinaryIO) -> Iterator[bytes]:
    """The large and the small picture, and before them how long the large one is."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the sandbox allows no others
    Image.MAX_IMAGE_PIXELS = None  # our own limit is lower
    try:
        image = _decoded(stream)
    except (OSError, SyntaxError, ValueError, RuntimeError, EOFError, struct.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system, not of Pillow: no memory, say
        raise Unreadable(DAMAGED) from error
    large = _plain(image)
    small = large.copy()
    small.thumbnail(SMALL, Image.Resampling.LANCZOS)
    data = _as_jpeg(large)
    yield _LENGTH.pack(len(data))
    yield data
    yield _as_jpeg(small)


def _decoded(stream: BinaryIO) -> "Image.Image":
    """The first frame, small enough and upright. The size comes first: later steps cost a hundredth then."""
    header = measured(stream.read(MOST_BYTES))
    stream.seek(0)
    image: Image.Image = Image.open(stream, formats=(header.format,))
    _check_pixels(image.width, image.height)  # the frame of a GIF may be larger than its header says
    image.draft(None, _twice_as_needed(image.size))
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
        image.info.pop("transparency", None)
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode in ("P", "1"):  # colours of a palette cannot be mixed
        image = image.convert("RGB" if image.mode == "P" else "L")
    image.thumbnail(LARGE, Image.Resampling.LANCZOS)
    image.load()
    _turn_upright(image)
    return image


def _twice_as_needed(size: tuple[int, int]) -> tuple[int, int]:
    """A JPEG can be decoded at an eighth, a quarter or half of its size, which saves that much memory."""
    scale = 2 * min(1.0, LARGE[0] / size[0], LARGE[1] / size[1])
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def _turn_upright(image: "Image.Image") -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):
        return  # what cannot be read does not say how the camera was held


def _plain(image: "Image.Image") -> "Image.Image":
    """In sRGB, on white, and without anything that came with the file."""
    profile = image.info.get("icc_profile")
    seen = _on_white(image)
    seen = _in_srgb(seen, profile) if profile else seen
    plain = Image.new("RGB", seen.size)
    plain.paste(seen.convert("RGB"))
    return plain


def _on_white(image: "Image.Image") -> "Image.Image":
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _in_srgb(image: "Image.Image", profile: bytes) -> "Image.Image":
    """A profile that is broken, or of other kinds of colours than the picture has, does not count: as in browsers."""
    try:
        from_ = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        found = ImageCms.profileToProfile(image, from_, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return found or image


def _as_jpeg(image: "Image.Image") -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return out.getvalue()
