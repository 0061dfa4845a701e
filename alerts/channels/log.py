"""Notifications as lines of JSON, to a file or to standard output."""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alerts.channels import Undelivered, fit
from kawamori.storage.outbox import Notification


class LogChannel:
    """Appends one line a notification, and syncs it to disk before it counts as delivered."""

    name = "log"

    def __init__(self, path: Path | None) -> None:
        self._path = path
        #: One thread: lines stand in the order in which they were sent.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="log")

    async def send(self, notification: Notification) -> str:
        """Write the line; raises Undelivered when the disk does not take it."""
        notification = fit(notification)
        line = json.dumps(
            {
                "id": notification.id, "idempotency_key": notification.idempotency_key,
                "alert_id": notification.alert_id, "event": notification.event,
                "created_at": notification.created_at.isoformat(), "subject": notification.subject,
                "body": notification.body,
            },
            ensure_ascii=False,
        )  # fmt: skip
        if self._path is None:
            print(line, flush=True)  # noqa: T201 - standard output is the channel
            return "written to standard output"
        try:
            await asyncio.get_running_loop().run_in_executor(self._disk, self._append, self._path, line)
        except OSError as error:
            raise Undelivered(f"the log's disk did not take it: {error.strerror}") from error
        return "written and synced"

    @staticmethod
    def _append(path: Path, line: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
