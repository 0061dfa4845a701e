"""Run ingest: gateways' batches in, committed readings out, and only then the acknowledgement."""

import asyncio
from collections import deque
from datetime import timedelta
from functools import partial
from uuid import uuid4

from prometheus_client import Histogram

from ingest.batches import Ingest
from kawamori import wire
from kawamori.errors import BrokerUnavailable, KawamoriError, StorageUnavailable
from kawamori.mqtt import Link, Message
from kawamori.observe import Health, health_app, log, serve
from kawamori.runtime import backoff, fail_point, forever, now, sleep_or_stop, stopping
from kawamori.settings import Settings
from kawamori.storage.database import Database
from kawamori.storage.system import say_started

COMMITS = Histogram("kawamori_ingest_commit_seconds", "From a batch's arrival to its commit")

#: Batches in one transaction at most, and in flight from the broker.
_TOGETHER = 32
#: Attempts at one transaction before its batches are left to their gateways.
_TRIES = 3
#: How often a worker says that it is there, and how soon after it has found the broker.
_SIGN_OF_LIFE = 5.0
_UNTIL_CONNECTED = 0.5
#: How often signs of life of gateways are written down, and the database is looked at while nothing comes.
_HEAR_EVERY = 0.5
_LOOK_EVERY = 5.0
#: How often to look for rows of quarantine that are to be tried again.
_REPLAY_EVERY = 2.0
#: Seconds of silence, and half as many again, after which the broker takes a frozen worker for gone and gives its turns
#: to the others. Mosquitto 2.0 looks every few seconds.
_NOTICED_WITHIN = 4
#: A worker that freezes while it holds sensors' locks makes the others wait for so long at most.
_FROZEN = timedelta(seconds=8)


async def take_with_retries(ingest: Ingest, messages: list[Message]) -> list[tuple[str, wire.Ack]]:
    """Take them, and try again for a moment: a connection may have died unnoticed, two workers may have met."""
    for attempt in range(1, _TRIES):
        try:
            return await ingest.take(messages)
        except StorageUnavailable as error:
            log().info("not stored: trying again", error=str(error), attempt=attempt)
            await asyncio.sleep(backoff(attempt))
    return await ingest.take(messages)


async def _hear_some(ingest: Ingest, heard: deque[Message], stop: asyncio.Event) -> None:
    """Write down which gateways are there; readings do not wait for it."""
    messages = [heard.popleft() for _ in range(len(heard))]
    if messages:
        await ingest.liveness.hear(messages)
    await sleep_or_stop(_HEAR_EVERY, stop)


async def _replay_some(ingest: Ingest, stop: asyncio.Event) -> None:
    """Try again what somebody asked for; readings that come in do not wait for it."""
    if not await ingest.replay():
        await sleep_or_stop(_REPLAY_EVERY, stop)


async def _look(database: Database, ingest: Ingest, trouble: dict[str, str], stop: asyncio.Event) -> None:
    """Say what is wrong with the database though nothing comes in, and that it is over."""
    try:
        await database.ping()
    except StorageUnavailable as error:
        trouble["database"] = str(error)
    else:
        if not ingest.progress.owes():
            trouble.pop("database", None)
    await sleep_or_stop(_LOOK_EVERY, stop)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Take batches until stopped. While the database is away, batches are left to their gateways."""
    health = Health()
    name = f"kawamori-ingest-{uuid4().hex[:12]}"
    shared = [f"$share/ingest/{topic}" for topic in (wire.BATCHES, wire.ALIVE)]
    link = Link(settings.mqtt(), name, shared, receive_maximum=_TOGETHER * 2, keep_alive=_NOTICED_WITHIN)
    async with Database(settings.database(), "ingest", size=2, idle=_FROZEN, check=False) as database:
        await say_started(database, "ingest")
        ingest = Ingest(database, settings.ingest)
        trouble: dict[str, str] = {}
        health.check("broker", lambda: link.trouble)
        health.check("database", lambda: trouble.get("database"))
        health.warn("registry", ingest.registry.warning)
        #: Signs of life of gateways; more than these are not needed to know who is there.
        heard: deque[Message] = deque(maxlen=1000)

        async def take_some() -> None:
            messages = await link.receive(_TOGETHER)
            fail_point("ingest.received")
            begun = now()
            batches = [m for m in messages if not m.topic.endswith("/alive")]
            try:
                acks = await take_with_retries(ingest, batches)
            except StorageUnavailable as error:
                trouble["database"] = str(error)
                raise
            finally:
                link.acknowledge(messages)  # the gateway's journal keeps them, the broker need not
                heard.extend(m for m in messages if m.topic.endswith("/alive"))
            fail_point("ingest.committed")
            if batches:
                trouble.pop("database", None)
            COMMITS.observe((now() - begun).total_seconds())
            for topic, ack in acks:
                try:
                    link.publish(topic, wire.encode(ack))
                    fail_point("ingest.acknowledged")
                except BrokerUnavailable:
                    break  # the gateways send again, and nothing is stored twice

        async def say_alive() -> None:
            if link.connected:  # a worker that hears no gateway is none
                await ingest.liveness.say_alive(name)
            await sleep_or_stop(_SIGN_OF_LIFE if link.connected else _UNTIL_CONNECTED, stop)

        async def correct_some() -> None:
            async for _ in database.notifications("kawamori_correction"):
                while await ingest.corrections.apply_next():
                    pass

        async with stopping(stop) as group:
            group.create_task(link.stay_connected(), name="broker")
            if settings.ingest.health_port:
                group.create_task(
                    serve(health_app(health), "127.0.0.1", settings.ingest.health_port, stop), name="health"
                )
            # whatever keeps a sign from being written, readings go on
            group.create_task(forever(say_alive, stop, KawamoriError, "no sign of life"), name="sign of life")
            hear = partial(_hear_some, ingest, heard, stop)
            group.create_task(forever(hear, stop, KawamoriError, "gateways are not heard"), name="gateways")
            replay = partial(_replay_some, ingest, stop)
            group.create_task(forever(replay, stop, KawamoriError, "no replay"), name="replay")
            look = partial(_look, database, ingest, trouble, stop)
            group.create_task(forever(look, stop, KawamoriError, "no look at the database"), name="look")
            group.create_task(
                forever(lambda: ingest.look_again(stop), stop, KawamoriError, "no second look"), name="second look"
            )
            group.create_task(forever(correct_some, stop, KawamoriError, "no corrections"), name="corrections")
            await forever(take_some, stop, StorageUnavailable, "database away")
