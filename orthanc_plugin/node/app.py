"""Wiring: settings → pacs, journal, spool, engine → three loops; one process per data folder."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TextIO

from inference.domain.errors import HabitusError
from orthanc_plugin.inside.disk_space import DiskLevel, level_of
from orthanc_plugin.node.access import Access, access_alone, access_from_plugin
from orthanc_plugin.node.commands import CommandDesk
from orthanc_plugin.node.data_folder_lock import lock_data_folder
from orthanc_plugin.node.delivery_journal import DeliveryJournal
from orthanc_plugin.node.delivery_lane import Lane
from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.engine_process import EngineProcess
from orthanc_plugin.node.intake import Intake
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.journal import EVERY_PRIORITY, Journal
from orthanc_plugin.node.journal_database import require_intact
from orthanc_plugin.node.logs import Logger, StudyPseudonyms, logger, site_secret
from orthanc_plugin.node.orthanc_pacs import OrthancPacs
from orthanc_plugin.node.outbox import Outbox
from orthanc_plugin.node.profile_rules import rules_in_force
from orthanc_plugin.node.protection import Protector
from orthanc_plugin.node.router import Router
from orthanc_plugin.node.routing_rules import Priority
from orthanc_plugin.node.self_report import SelfReport
from orthanc_plugin.node.settings_in_force import SETTINGS_FACT, SettingsInForce
from orthanc_plugin.node.spool import Spool
from orthanc_plugin.node.spool_retention import SpoolRetention
from orthanc_plugin.node.study_choice import StudyChooser
from orthanc_plugin.node.study_retention import StudyRetention
from orthanc_plugin.node.worker import Bench, Worker

ENGINE_RETRY_S = 20.0
"""Between two tries to start an engine that could not be started."""
STAT_ONLY = Priority.STAT.rank
WORKER_POLL_S = 0.5
COMMANDS_POLL_S = 0.3
SETTINGS_LOOK_S = 1.0
"""Between two looks at the settings file; one that has changed must rest that long."""
PACS_AWAY_POLL_S = 2.0


class Node:
    """Intake, worker and outbox, each in a thread of its own with its own connections."""

    def __init__(
        self, in_force: SettingsInForce, access: Access, log: Logger, *, is_woken: bool
    ) -> None:
        self._in_force = in_force
        self._is_woken = is_woken
        """Whether the plugin says when something comes."""
        settings = in_force()
        self._access = access
        self._log = log
        self._news = threading.Event()
        self._outbox_news = threading.Event()
        """A job has ended, or a delivery has: a poll would come up to a second later."""
        self._lane_news: list[threading.Event] = []
        secret = site_secret(settings.data_folder / "site.secret")
        self._pseudonyms = StudyPseudonyms(secret)
        self._seal = DemographicsSeal(secret)
        self._spool = Spool(settings.spool_folder)
        self._engines = [EngineProcess(settings.engine) for _ in range(settings.engine.workers)]
        self._wanted = [threading.Event() for _ in self._engines]
        """Set where a worker's engine has, or soon will have, something to do."""
        self._worker: Worker | None = None
        """The one that takes every job."""
        self._is_ending = threading.Event()
        self._loops: list[threading.Thread] = []

    def start(self) -> None:
        """Queue again what a dead node left running, then start the loops."""
        with closing(self._journal()) as journal:
            require_intact(journal.connection)
            recovered = journal.recover()
            journal.set_fact(SETTINGS_FACT, self._in_force.fact())
        self._spool.clean_work()
        self._log.info("node-started", pid=os.getpid(), count=recovered)
        for number, engine in enumerate(self._engines):
            is_for_stat = 0 < number == len(self._engines) - 1
            work = partial(
                self._work,
                engine,
                self._wanted[number],
                least_priority=STAT_ONLY if is_for_stat else EVERY_PRIORITY,
            )
            self._loop(f"worker-{number}", work)
        for name, loop in (
            ("intake", self._take_in),
            ("outbox", self._send_out),
            ("commands", self._follow_commands),
            ("retention", self._let_studies_go),
        ):
            self._loop(name, loop)
        if self._in_force().metrics.port:
            self._serve_metrics()

    def _loop(self, name: str, loop: Callable[[], None]) -> None:
        thread = threading.Thread(target=loop, name=name, daemon=True)
        self._loops.append(thread)
        thread.start()

    def _serve_metrics(self) -> None:
        # Its library takes a third of a second to load, which a node without metrics need not wait for.
        from orthanc_plugin.node.metrics_pages import NodePages, serve

        pages = NodePages(
            in_force=self._in_force,
            loops=self._loops,
            started_at=time.time(),
            images_folder=self._access.images_folder,
        )
        threading.Thread(target=serve, args=(pages, self._log), name="metrics", daemon=True).start()

    def wake(self) -> None:
        """Something arrived: look now instead of at the next poll."""
        self._news.set()

    def reload(self) -> None:
        """Somebody wants the settings to be read again."""
        self._in_force.ask()

    def stop(self) -> None:
        """Kill the engines; everything else is safe to end at any moment."""
        self._is_ending.set()
        for engine in self._engines:
            engine.end()

    def _pacs(self) -> OrthancPacs:
        timeout_s = self._in_force().orthanc.timeout_s
        return OrthancPacs(
            self._access.url, self._access.authorization, timeout_s, self._access.fingerprint
        )

    def _journal(self) -> Journal:
        """SQLite's connections belong to the thread that made them."""
        return Journal(self._in_force().journal_path)

    def _identity(self) -> EngineIdentity | None:
        return self._worker.identity if self._worker is not None else None

    def _identity_of(self, profile: str) -> EngineIdentity | None:
        return self._worker.identity_of(profile) if self._worker is not None else None

    def _work(self, engine: EngineProcess, wanted: threading.Event, least_priority: int) -> None:
        bench = Bench(
            journal=self._journal(),
            pacs=self._pacs(),
            spool=self._spool,
            engine=engine,
            seal=self._seal,
            log=self._log,
            has_room=self._has_room,
            wanted=wanted,
        )
        worker = Worker(bench, self._in_force, least_priority)
        if engine is self._engines[0]:
            self._worker = worker
        while not self._is_ending.is_set():
            if worker.rests():
                worker.pause(WORKER_POLL_S)
            elif not worker.ensure_engine():
                time.sleep(ENGINE_RETRY_S)
            elif worker.step():
                self._outbox_news.set()
                # Of a rejected series the next best may be due.
                self._news.set()
            else:
                worker.pause(WORKER_POLL_S)

    def _has_room(self) -> bool:
        settings = self._in_force()
        return level_of(settings.data_folder, settings.disk.marks) is DiskLevel.OK

    def _take_in(self) -> None:
        intake: Intake | None = None

        def step() -> None:
            nonlocal intake
            # Once the engine has loaded, the profile is known to be a good one.
            if (identity := self._identity()) is not None:
                intake = intake or self._intake()
                if intake.step(identity) or intake.is_expecting:
                    for wanted in self._wanted:
                        wanted.set()

        def pause() -> None:
            poll_s = self._in_force().intake.poll_s
            _await(self._news, intake.pause_s(is_woken=self._is_woken) if intake else poll_s)

        self._repeat("intake", step, pause)

    def _intake(self) -> Intake:
        chooser = self._chooser(self._pacs(), self._journal())
        router = Router(chooser.pacs, self._in_force, self._identity_of)
        settings = self._in_force().intake
        return Intake(chooser, settings, self._pseudonyms, self._log, router=router)

    def _chooser(self, pacs: OrthancPacs, journal: Journal) -> StudyChooser:
        rules_of, late = rules_in_force(self._in_force), self._in_force().intake.late
        return StudyChooser(pacs, journal, rules_of, self._seal, late)

    def _follow_commands(self) -> None:
        journal, pacs = self._journal(), self._pacs()
        report = SelfReport(journal, self._in_force)
        desk = CommandDesk(
            folder=self._in_force().commands_folder,
            journal=journal,
            pacs=pacs,
            chooser=self._chooser(pacs, journal),
            seal=self._seal,
            router=Router(pacs, self._in_force, self._identity_of),
            reload=partial(self._in_force.reload, self._log, journal.set_fact),
            log=self._log,
        )
        next_look_s = 0.0

        def step() -> None:
            nonlocal next_look_s
            if self._in_force.is_asked or time.monotonic() >= next_look_s:
                next_look_s = time.monotonic() + SETTINGS_LOOK_S
                self._in_force.look(self._log, journal.set_fact)
            report.step(self._identity())
            desk.step()

        self._repeat("commands", step, lambda: time.sleep(COMMANDS_POLL_S))

    def _send_out(self) -> None:
        pacs, journal = self._pacs(), self._journal()
        protector, retention = Protector(pacs, journal), SpoolRetention(journal, self._spool)
        outbox = Outbox(
            pacs,
            DeliveryJournal(journal),
            self._spool,
            self._in_force,
            self._open_lane,
            self._log,
        )

        def step() -> None:
            protector.step()
            if outbox.step():
                for news in self._lane_news:
                    news.set()
            retention.step(self._in_force().spool.keep_days)

        self._repeat(
            "outbox", step, lambda: _await(self._outbox_news, self._in_force().outbox.poll_s)
        )

    def _let_studies_go(self) -> None:
        retention = StudyRetention(self._pacs(), self._journal(), self._pseudonyms, self._log)

        def step() -> None:
            counts = retention.step(lambda: self._in_force().retention)
            if deleted := counts.get("deleted"):
                self._log.info("retention-looked", count=deleted)

        self._repeat("retention", step, lambda: time.sleep(self._in_force().retention.look_every_s))

    def _open_lane(self, destination: str) -> None:
        threading.Thread(
            target=self._deliver, args=(destination,), name="lane", daemon=True
        ).start()

    def _deliver(self, destination: str) -> None:
        lane = Lane(
            destination,
            self._pacs(),
            DeliveryJournal(self._journal()),
            self._spool,
            self._in_force,
            self._log,
        )
        pause_s = 0.0
        news = threading.Event()
        self._lane_news.append(news)

        def step() -> None:
            nonlocal pause_s
            pause_s = lane.step()
            if pause_s == 0.0:
                self._outbox_news.set()

        self._repeat("lane", step, lambda: _await(news, pause_s))

    def _repeat(self, name: str, step: Callable[[], None], pause: Callable[[], object]) -> None:
        """Step for ever; an Orthanc that is away is waited for, anything else ends the node."""
        was_away = False
        while True:
            try:
                step()
                was_away = False
                pause()
            except HabitusError as error:
                if not error.retryable:
                    raise
                if not was_away:
                    self._log.warning("waiting-for-orthanc", role=name, reason=error.code)
                was_away = True
                time.sleep(PACS_AWAY_POLL_S)


def _await(news: threading.Event, limit_s: float) -> None:
    news.wait(limit_s)
    news.clear()


def serve_plugin(node: Node, commands: TextIO) -> None:
    """Follow the plugin's lines on stdin until it closes the pipe or dies."""
    for line in commands:
        command = json.loads(line)
        if command["command"] == "wake":
            node.wake()
    node.stop()


def serve_alone(node: Node) -> None:
    """Run until SIGTERM or SIGINT."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    node.stop()


def end_process_on_thread_failure() -> None:
    """A loop that died would be a node that looks alive: end it, so that the supervisor starts a new one."""
    report = threading.excepthook

    def end(args: threading.ExceptHookArgs) -> None:
        report(args)
        os._exit(1)

    threading.excepthook = end


def run(in_force: SettingsInForce, parent_pid: int | None) -> None:
    """Run the node until it is told to end; `parent_pid` is the Orthanc that started it, if one did."""
    end_process_on_thread_failure()
    lock = lock_data_folder(in_force().data_folder)
    log = logger()
    if parent_pid is None:
        node = Node(in_force, access_alone(in_force()), log, is_woken=False)
        signal.signal(signal.SIGHUP, lambda *_: node.reload())
        node.start()
        serve_alone(node)
    else:
        node = Node(in_force, access_from_plugin(sys.stdin), log, is_woken=True)
        signal.signal(signal.SIGHUP, lambda *_: node.reload())
        node.start()
        serve_plugin(node, sys.stdin)
    lock.close()
    # Daemon threads may be inside SQLite: leave without running their finalisers.
    os._exit(0)
