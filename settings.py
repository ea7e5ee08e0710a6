"""What the environment says, what time it is, which version this is: with commands/ the only reader of the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from execution.limits import Limits

VERSION = version("fleetgraph")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(Exception):
    """A variable of the environment has a bad value; the message names it and says what it should be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says; see docs/settings.md."""

    host: str = "127.0.0.1"
    port: int = 5000
    database_url: str | None = None  # None: the embedded PostgreSQL
    redis_url: str | None = None  # None: the embedded Valkey
    redis_prefix: str = "fleetgraph"
    agent_engine_url: str | None = None
    cors_origins: tuple[str, ...] = ()
    log_level: str = "INFO"
    data_dir: Path = Path(".data")
    load_sample: bool = True
    explorer_cdn: bool = False
    host_name: str = "localhost"  # whose transcripts an import reads
    limits: Limits = field(default_factory=Limits)  # of an operation

    @classmethod
    def read(cls, environment: Mapping[str, str], *, host_name: str) -> Settings:
        """The settings of an environment. Raises SettingsError; an empty value counts as not set."""
        given = {name: value.strip() for name, value in environment.items() if value.strip()}
        level = given.get("LOG_LEVEL", "INFO").upper()
        if level not in LOG_LEVELS:
            raise SettingsError(f"LOG_LEVEL is {given['LOG_LEVEL']!r}; it should be one of {', '.join(LOG_LEVELS)}")
        database_url = _url(
            given, "DATABASE_URL", ("postgresql", "postgres"), "postgresql+asyncpg://user@host:5432/name"
        )
        return cls(
            host=given.get("HOST", "127.0.0.1"),
            port=_port(given.get("PORT", "5000")),
            database_url=database_url,
            redis_url=_url(given, "REDIS_URL", ("redis", "rediss", "unix"), "redis://host:6379/0"),
            redis_prefix=given.get("REDIS_PREFIX", "fleetgraph"),
            agent_engine_url=_url(given, "AGENT_ENGINE_URL", ("http", "https"), "http://agent-engine:8080"),
            cors_origins=_origins(given.get("CORS_ORIGINS", "")),
            log_level=level,
            data_dir=_folder(given.get("FLEETGRAPH_DATA_DIR", ".data")),
            load_sample=_switch(given, "FLEETGRAPH_SAMPLE", default=True),
            explorer_cdn=_switch(given, "FLEETGRAPH_EXPLORER_CDN", default=False),
            host_name=host_name,
            limits=_limits(given.get("FLEETGRAPH_LIMITS", "")),
        )


def _port(text: str) -> int:
    if (port := _whole_number(text, 65535)) is None:
        raise SettingsError(f"PORT is {text!r}; it should be a number from 1 to 65535")
    return port


def _whole_number(text: str, most: int) -> int | None:
    """A number from 1 to `most`; None when it is none."""
    if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most:
        return int(text)
    return None


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise SettingsError(f"FLEETGRAPH_DATA_DIR is {text!r}, and there is no such user's home folder") from None


def _switch(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    text = given.get(name)
    if text is None:
        return default
    if text.lower() not in words:
        raise SettingsError(f"{name} is {text!r}; it should be 1 or 0")
    return words[text.lower()]


def _url(given: Mapping[str, str], name: str, schemes: tuple[str, ...], example: str) -> str | None:
    text = given.get(name)
    if text is None:
        return None
    if _split(text).scheme.partition("+")[0] not in schemes:
        # The value may hold a password: it is not repeated.
        hint = "; in a password write @ : / ? # % as %40 %3A %2F %3F %23 %25" if "@" in text else ""
        raise SettingsError(f"{name} should be a URL such as {example}{hint}")
    return text


def _split(text: str) -> SplitResult:
    """The parts of a URL; of one that cannot be read, nothing."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # read late by urlsplit
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def _limits(words: str) -> Limits:
    chosen: dict[str, int | float] = {}
    for part in filter(None, (part.strip() for part in words.split(","))):
        name, _, text = (word.strip() for word in part.partition("="))
        value = _whole_number(text, 10**9)
        if name not in Limits.named() or value is None:
            names = ", ".join(sorted(Limits.named()))
            raise SettingsError(
                f"FLEETGRAPH_LIMITS has {part!r}; it should be limits such as depth=15,cost=100000: of {names}"
            )
        chosen[name] = value
    return replace(Limits(), **chosen)  # type: ignore[arg-type]


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for origin in origins:
        parts = _split(origin)
        if parts.scheme not in ("http", "https") or parts.netloc != origin.partition("//")[2] or not parts.netloc:
            raise SettingsError(
                f"CORS_ORIGINS has {origin!r}; it should be origins such as http://localhost:3005, separated by commas"
            )
    return origins


def now() -> datetime:
    """The time, in milliseconds as it is stored."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
