"""A wrong setting is named, and never printed: it may be a password."""

import os
import subprocess
import sys

import pytest

from kawamori.errors import ConfigurationError
from kawamori.settings import NO_SETTINGS, Settings, unknown_variables

SECRET = ["se%cret", "se/cret", "se#cret", "se cret", "se?cr@et", "s:e:cret", "se@cret", "secret:1/x@y"]


@pytest.mark.parametrize("password", SECRET)
@pytest.mark.parametrize(
    ("variable", "url", "read"),
    [
        ("KAWAMORI_DATABASE_URL", "postgresql://kawamori:{}@db.city.example:5432/kawamori", Settings.database),
        ("KAWAMORI_MQTT_URL", "mqtts://kawamori:{}@broker.city.example:8883", Settings.mqtt),
    ],
)
def test_a_password_that_breaks_the_address_is_never_printed(monkeypatch, password, variable, url, read):
    monkeypatch.setenv(variable, url.format(password))
    with pytest.raises(ConfigurationError) as error:
        read(Settings())
    text = str(error.value)
    assert text.startswith(f"{variable}: ")
    assert "%25" in text
    assert not any(part in text for part in (password, "cret", "kawamori:"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://kawamori:se%25cret%2F%23@db.city.example:5432/kawamori?sslmode=verify-full",
        "postgresql://u:p@one:5432,two:5432/kawamori?target_session_attrs=read-write",
        "postgresql://u@[::1]:5432/kawamori", "postgresql:///kawamori?host=/run/postgresql", "postgres://localhost",
        "host=localhost dbname=kawamori password=a#b%c",
    ],
)  # fmt: skip
def test_every_sound_address_of_a_database_is_taken(monkeypatch, url):
    monkeypatch.setenv("KAWAMORI_DATABASE_URL", url)
    assert Settings().database() == url


def test_a_variable_that_sets_nothing_is_named():
    names = [
        "KAWAMORI_ALERT__WEBHOOK_SECRET", "KAWAMORI_API_OPEN", "KAWAMORI_ALERTS__WEBHOOK_SECRT", "KAWAMORI_LOG_LEVEL",
        "KAWAMORI_ALERTS__WEBHOOK_SECRET", "KAWAMORI_API__OPEN", "KAWAMORI_RETAIN__QUARANTINE", "PATH",
        "kawamori_site__name_ja", "KAWAMORI_DATABASE_URL__X", "KAWAMORI_ALERTS", *NO_SETTINGS,
    ]  # fmt: skip
    assert unknown_variables(names) == [
        "KAWAMORI_ALERTS__WEBHOOK_SECRT", "KAWAMORI_ALERT__WEBHOOK_SECRET", "KAWAMORI_API_OPEN",
        "KAWAMORI_DATABASE_URL__X",
    ]  # fmt: skip


def test_check_fails_on_a_variable_that_sets_nothing():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KAWAMORI_")}
    done = subprocess.run(
        [sys.executable, "-m", "kawamori.cli", "check"], capture_output=True, text=True,
        env=environment | {"KAWAMORI_API_OPEN": "hidden"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "kawamori: KAWAMORI_API_OPEN: there is no such setting\n"
