"""The tracking servers that models come from, as the settings name them."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings

#: The server of ``MLFLOW_TRACKING_URI``; its models keep their names.
FIRST = "mlflow"
#: What ``write_back`` says of a server that is told of changes here; ``off`` of every other.
MIRROR = "mirror"


@dataclass(frozen=True, slots=True)
class TrackingServer:
    """``prefix`` stands before the names of its models here."""

    name: str
    uri: str
    prefix: str = ""
    token: str = field(default="", repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    write_back: str = "off"

    @property
    def mirrors(self) -> bool:
        """Whether it is told of governed changes."""
        return self.write_back == MIRROR


def tracking_servers() -> list[TrackingServer]:
    """Every server, the one of ``MLFLOW_TRACKING_*`` first; empty when none is set."""
    found = []
    if settings.MLFLOW_TRACKING_URI:
        found.append(
            TrackingServer(
                FIRST,
                settings.MLFLOW_TRACKING_URI,
                token=settings.MLFLOW_TRACKING_TOKEN,
                username=settings.MLFLOW_TRACKING_USERNAME,
                password=settings.MLFLOW_TRACKING_PASSWORD,
                write_back=settings.MLFLOW_WRITE_BACK,
            )
        )
    return found + [TrackingServer(**each) for each in settings.MLFLOW_SERVERS]
