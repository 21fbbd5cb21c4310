"""What an operator can set, and what is said when it cannot be used."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from events.config import Settings, database_url
from events.errors import ConfigurationError


def settings(tmp_path: Path, **variables: str) -> Settings:
    return Settings.from_environment({"BRANCHLINE_DATA_DIR": str(tmp_path / "data"), **variables})


def test_with_nothing_set_everything_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = Settings.from_environment({})
    assert found.data_dir == Path("data") and stat.S_IMODE(found.data_dir.stat().st_mode) == 0o700
    assert found.database_url == "sqlite:///data/branchline.db"
    assert (found.base_url, found.smtp_url, found.units) == (None, None, None)
    assert (found.locales, found.port, found.rate_limits) == (("en", "es"), 8000, True)
    assert found.public_url == "http://localhost:8000"
    assert not found.secure


def test_everything_that_is_set_is_read(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        BRANCHLINE_DATABASE_URL="postgres://ana:secret@db/branchline",
        BRANCHLINE_BASE_URL="https://events.example.org/",
        BRANCHLINE_SECRET_KEY="a key",
        BRANCHLINE_NAME="Hazel Clubs",
        BRANCHLINE_SMTP_URL="smtps://ana:p%40ss@mail.example.org:465",
        BRANCHLINE_MAIL_FROM="Hazel Clubs <events@example.org>",
        BRANCHLINE_COUNTRIES="us, gb",
        BRANCHLINE_LOCALES="es",
        BRANCHLINE_UNITS="km",
        BRANCHLINE_TRUSTED_PROXIES="10.0.0.1,10.0.0.2",
        BRANCHLINE_RATE_LIMITS="off",
        BRANCHLINE_FOLLOW_HTTP="on",
        BRANCHLINE_METRICS_TOKEN="a token",
        BRANCHLINE_LOG_FORMAT="json",
        PORT="9000",
    )
    assert found == Settings(
        data_dir=tmp_path / "data",
        database_url="postgresql+psycopg://ana:secret@db/branchline",
        secret_key="a key",
        base_url="https://events.example.org",
        name="Hazel Clubs",
        smtp_url="smtps://ana:p%40ss@mail.example.org:465",
        mail_from="events@example.org",
        countries=("US", "GB"),
        locales=("es",),
        units="km",
        trusted_proxies=("10.0.0.1", "10.0.0.2"),
        rate_limits=False,
        follow_http=True,
        metrics_token="a token",
        log_format="json",
        port=9000,
    )
    assert found.secure


VARIABLES = {
    "BRANCHLINE_DATABASE_URL": "sqlite:////tmp/elsewhere.db",
    "DATABASE_URL": "sqlite:////tmp/elsewhere.db",
    "BRANCHLINE_BASE_URL": "https://events.example.org",
    "BRANCHLINE_SECRET_KEY": "a key",
    "BRANCHLINE_NAME": "Hazel Clubs",
    "BRANCHLINE_SMTP_URL": "smtp://mail.example.org",
    "BRANCHLINE_MAIL_FROM": "events@example.org",
    "BRANCHLINE_COUNTRIES": "GB",
    "BRANCHLINE_LOCALES": "es",
    "BRANCHLINE_UNITS": "mi",
    "BRANCHLINE_TRUSTED_PROXIES": "10.0.0.1",
    "BRANCHLINE_RATE_LIMITS": "off",
    "BRANCHLINE_METRICS_TOKEN": "a token",
    "BRANCHLINE_LOG_FORMAT": "json",
    "BRANCHLINE_FOLLOW_HTTP": "on",
    "PORT": "9000",
}


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_may_come_from_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "file"
    file.write_text(f"{VARIABLES[name]}\n", encoding="utf-8")
    kept = {"BRANCHLINE_SECRET_KEY": "the same"} if name != "BRANCHLINE_SECRET_KEY" else {}
    by_file = settings(tmp_path, **kept, **{f"{name}_FILE": str(file)})
    assert by_file == settings(tmp_path, **kept, **{name: VARIABLES[name]})
    assert by_file != settings(tmp_path, **kept)


def test_the_data_directory_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(f"{tmp_path}/here\n")
    found = Settings.from_environment({"BRANCHLINE_DATA_DIR_FILE": str(tmp_path / "file")})
    assert found.data_dir == tmp_path / "here"


def test_a_file_that_is_missing_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"BRANCHLINE_SECRET_KEY_FILE names .*nowhere"):
        settings(tmp_path, BRANCHLINE_SECRET_KEY_FILE=str(tmp_path / "nowhere"))


BAD = [
    ("BRANCHLINE_BASE_URL", "events.example.org", "must be a scheme and a host"),
    ("BRANCHLINE_BASE_URL", "events.example.org:8000", "must be a scheme and a host"),
    ("BRANCHLINE_BASE_URL", "ftp://events.example.org", "must be a scheme and a host"),
    ("BRANCHLINE_BASE_URL", "https://", "must be a scheme and a host"),
    ("BRANCHLINE_BASE_URL", "https://events.example.org/club", "must be a scheme and a host"),
    ("BRANCHLINE_BASE_URL", "https://ana@events.example.org", "must be a scheme and a host"),
    ("BRANCHLINE_BASE_URL", "http://[::1", "must be a scheme and a host"),
    ("BRANCHLINE_BASE_URL", "http://localhost:web", "must be a scheme and a host"),
    ("BRANCHLINE_BASE_URL", "http://localhost:99999", "must be a scheme and a host"),
    ("BRANCHLINE_DATABASE_URL", "mysql://ana@db/branchline", "must begin with sqlite:/// or postgresql://"),
    ("BRANCHLINE_DATABASE_URL", "branchline.db", "must begin with sqlite:/// or postgresql://"),
    ("BRANCHLINE_DATABASE_URL", "sqlite://", "must begin with sqlite:/// or postgresql://"),
    ("BRANCHLINE_DATABASE_URL", "postgresql://ana@db:port/branchline", "must look like postgresql://"),
    ("DATABASE_URL", "mysql://ana@db/branchline", "must begin with sqlite:/// or postgresql://"),
    ("BRANCHLINE_SMTP_URL", "mail.example.org", "must look like smtp://"),
    ("BRANCHLINE_SMTP_URL", "http://mail.example.org", "must look like smtp://"),
    ("BRANCHLINE_SMTP_URL", "smtp://", "must look like smtp://"),
    ("BRANCHLINE_SMTP_URL", "smtp://mail.example.org:mail", "must look like smtp://"),
    ("BRANCHLINE_MAIL_FROM", "Hazel Clubs", "BRANCHLINE_MAIL_FROM must be an address"),
    ("BRANCHLINE_MAIL_FROM", "ñandú@example.org", "BRANCHLINE_MAIL_FROM must be an address"),
    ("BRANCHLINE_LOCALES", "en,xx", "BRANCHLINE_LOCALES names xx; there are en, es"),
    ("BRANCHLINE_LOCALES", "../es", "BRANCHLINE_LOCALES names ../es"),
    ("BRANCHLINE_UNITS", "furlongs", "must be mi or km, not furlongs"),
    ("BRANCHLINE_RATE_LIMITS", "no", "BRANCHLINE_RATE_LIMITS must be on or off, not no"),
    ("BRANCHLINE_LOG_FORMAT", "xml", "BRANCHLINE_LOG_FORMAT must be text or json, not xml"),
    ("PORT", "http", "PORT must be a number up to 65535, not http"),
    ("PORT", "65536", "PORT must be a number up to 65535"),
    ("PORT", "-1", "PORT must be a number up to 65535"),
    ("PORT", "٨٠٠٠", "PORT must be a number up to 65535"),
]


@pytest.mark.parametrize(("name", "value", "said"), BAD)
def test_what_cannot_be_used_is_said_in_one_line(tmp_path: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        settings(tmp_path, **{name: value})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_no_error_repeats_a_password() -> None:
    for url in ("mysql://ana:secret@db/branchline", "postgresql://ana:secret@db:port/branchline"):
        with pytest.raises(ConfigurationError) as error:
            database_url(url)
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("prefix", ["postgres://", "postgresql://", "postgresql+psycopg://"])
def test_every_common_spelling_of_a_postgresql_url_is_understood(prefix: str) -> None:
    assert database_url(f"{prefix}ana@db/branchline") == "postgresql+psycopg://ana@db/branchline"


def test_our_own_variable_comes_before_the_common_one(tmp_path: Path) -> None:
    both = {"BRANCHLINE_DATABASE_URL": "sqlite:////tmp/ours.db", "DATABASE_URL": "sqlite:////tmp/common.db"}
    assert settings(tmp_path, **both).database_url == "sqlite:////tmp/ours.db"


def test_a_file_in_the_place_of_the_data_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(ConfigurationError, match=r"data directory .* cannot be made"):
        settings(tmp_path)


def test_the_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = settings(tmp_path)
    assert len(first.secret_key) >= 32
    assert settings(tmp_path).secret_key == first.secret_key
    assert stat.S_IMODE((tmp_path / "data" / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_many_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    for number in range(20):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: settings(tmp_path / str(number)).secret_key, range(8)))  # noqa: B023
        assert len(set(found)) == 1
        assert found[0]


def test_a_secret_that_is_empty_or_no_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret.key").write_text("\n")
    with pytest.raises(ConfigurationError, match=r"secret\.key is empty"):
        settings(tmp_path)
    (tmp_path / "data" / "secret.key").unlink()
    (tmp_path / "data" / "secret.key").mkdir()
    with pytest.raises(ConfigurationError, match=r"secret\.key cannot be read"):
        settings(tmp_path)
