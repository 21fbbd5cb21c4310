"""What an operator makes of the site: colours that stay readable, a logo, and clear words when it cannot be read."""

import io
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from events.errors import ConfigurationError
from events.identity import KEYS, Identity, read_identity
from events.palette import DARK_GROUNDS, LIGHT_GROUNDS, Palette, colour, contrast

COLOURS = ("#000000", "#ffffff", "#0b5d4b", "#ffff00", "#00ff00", "#7f7f7f", "#ff0000", "#0000ff", "#fdf6e3")


def _written(folder: Path, text: str) -> Path:
    (folder / "site.toml").write_text(text, encoding="utf-8")
    return folder


def _png(width: int, height: int) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(written, "PNG")
    return written.getvalue()


def test_an_operator_sets_colours_a_logo_a_picture_and_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    (tmp_path / "share.png").write_bytes(_png(60, 30))
    (tmp_path / "icon.png").write_bytes(_png(192, 192))
    identity = read_identity(
        _written(
            tmp_path,
            'brand = "#7A1F2B"\naccent = "fd6"\nlogo = "logo.svg"\npicture = "share.png"\n'
            'icon = "icon.png"\n'
            'security = "mailto:security@example.org"\n[description]\nen = "Tools\\n for all."\n',
        )
    )
    assert (identity.palette.brand, identity.palette.accent) == ("#7a1f2b", "#ffdd66")
    assert identity.logo is not None and identity.picture is not None
    assert (identity.logo.name, identity.picture.width, identity.picture.height) == ("logo.svg", 60, 30)
    assert identity.icon is not None and identity.icon.width == 192
    assert identity.security == "mailto:security@example.org"
    assert identity.description == {"en": "Tools for all."}


def test_the_documentation_explains_each_key(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "operating.md").read_text(encoding="utf-8")
    explained = text.partition("## Your own look")[2].partition("\n## ")[0]
    [example] = [part.partition("```")[0] for part in explained.split("```toml\n")[1:]]
    for name, content in {
        "logo.svg": b"<svg/>",
        "icon.png": _png(192, 192),
        "share.png": _png(60, 30),
    }.items():
        (tmp_path / name).write_bytes(content)
    assert read_identity(_written(tmp_path, example)).security == "mailto:security@example.org"
    assert [key for key in KEYS if f"`{key}`" not in explained and f"`[{key}]`" not in explained] == []


def test_without_a_file_the_site_looks_as_it_comes(tmp_path: Path) -> None:
    assert read_identity(tmp_path) == Identity()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('brand = "red"', "brand must be a colour like #0b5d4b, not red"),
        ("brand = 7", "brand must be a colour like #0b5d4b, not 7"),
        ('brnad = "#123456"', "site.toml has brnad, but knows only: brand, accent"),
        ("brand", "site.toml cannot be read"),
        ('logo = "../secret.key"', "logo must name a file beside it that ends in"),
        ('logo = "missing.svg"', "logo must name a file beside it"),
        ('logo = "site.toml"', "logo must name a file beside it"),
        ('picture = "bad.png"', "bad.png is no picture"),
        ('picture = "logo.svg"', "picture must name a file beside it that ends in .jpeg, .jpg, .png, .webp"),
        ('icon = "wide.png"', "wide.png must be as wide as it is high, and at least 192 pixels"),
        ('icon = "small.png"', "small.png must be as wide as it is high, and at least 192 pixels"),
        ('icon = "half.png"', "half.png is no picture"),
        ('icon = "logo.svg"', "icon must name a file beside it that ends in .jpeg, .jpg, .png, .webp"),
        ('picture = "bomb.png"', "bomb.png is no picture"),
        ('picture = "large.png"', "large.png is larger than 3 MB"),
        ('picture = "endless.png"', "picture must name a file beside it"),
        ('security = "me"', "security must begin with mailto:"),
        ('description = "Tools"', "description must be a table of sentences by language"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "wide.png").write_bytes(_png(300, 200))
    (tmp_path / "small.png").write_bytes(_png(180, 180))
    whole = _png(300, 300)
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    # Says in its header that it is 60,000 pixels wide and high.
    (tmp_path / "bomb.png").write_bytes(whole[:16] + 2 * (60_000).to_bytes(4) + whole[24:])
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(10**12)  # more than any memory, and no byte on the disk
    (tmp_path / "endless.png").symlink_to("/dev/zero")
    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(")):
        read_identity(_written(tmp_path, text))


def test_a_file_that_may_not_be_read_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "logo.svg").write_text("<svg/>")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigurationError, match=r"logo\.svg cannot be read: .*Permission denied"):
        read_identity(_written(tmp_path, 'logo = "logo.svg"'))


def test_what_stands_in_the_place_of_site_toml_is_not_passed_over(tmp_path: Path) -> None:
    for name, stand in (("folder", Path.mkdir), ("gone", lambda path: path.symlink_to("nowhere"))):
        (tmp_path / name).mkdir()
        stand(tmp_path / name / "site.toml")
        with pytest.raises(ConfigurationError, match=r"site\.toml cannot be read"):
            read_identity(tmp_path / name)


@pytest.mark.parametrize(("brand", "accent"), list(product(COLOURS, COLOURS[:3])))
def test_words_stay_readable_whatever_the_colours(brand: str, accent: str) -> None:
    palette = Palette(brand, accent)
    properties = dict(pair.split(":") for pair in palette.properties().split(";"))
    assert contrast(properties["--on-brand"], brand) >= 4.5
    assert contrast(properties["--on-accent"], accent) >= 4.5
    assert all(contrast(palette.ink, ground) >= 4.5 for ground in LIGHT_GROUNDS)
    assert all(contrast(palette.ink_in_the_dark, ground) >= 4.5 for ground in DARK_GROUNDS)


def test_a_colour_that_can_be_read_stays_as_it_is() -> None:
    assert Palette("#0b5d4b").ink == "#0b5d4b"


def test_contrast_is_as_wcag_defines_it() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_colours_are_read_short_and_long() -> None:
    assert colour("#ABC") == colour("aabbcc") == "#aabbcc"
    with pytest.raises(ValueError):
        colour("#ab")
