"""Keeps Orthanc from recycling what is not done yet: from its first slice on until no job of it is open."""

from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.journal_database import transaction
from orthanc_plugin.node.pacs import Pacs, RequestRefused, ResourceGone

OPEN = (JobState.QUEUED, JobState.RUNNING, JobState.COMPUTED)


class ArrivingStudies:
    """The journal's table `arriving`: studies that the intake has seen and not decided on yet."""

    def __init__(self, journal: Journal) -> None:
        self._connection = journal.connection
        self._kept: frozenset[str] | None = None

    def keep(self, studies: frozenset[str]) -> None:
        """These and no others; with the first call whatever a dead node left is forgotten."""
        if studies == self._kept:
            return
        with transaction(self._connection):
            self._connection.execute("DELETE FROM arriving")
            self._connection.executemany(
                "INSERT INTO arriving VALUES (?)", [(one,) for one in sorted(studies)]
            )
        self._kept = studies


class Protector:
    """Orthanc recycles whole patients, the oldest first, once its MaximumStorageSize is reached."""

    def __init__(self, pacs: Pacs, journal: Journal) -> None:
        self._pacs = pacs
        self._connection = journal.connection

    def step(self) -> None:
        """Protect and free whatever has changed; raises PacsUnavailable."""
        protected = self._protected()
        open_studies = self._open_studies()
        for study in sorted(open_studies - protected):
            try:
                self._protect(study)
            except (ResourceGone, RequestRefused):
                # Deleted meanwhile, or refused: asked again at the next step while it is not done.
                continue
        for study in sorted(protected - open_studies):
            self._free(study)

    def _protect(self, study: str) -> None:
        patient = self._pacs.patient_of_study(study)
        ours = self._connection.execute(
            "SELECT was_protected FROM protected_studies WHERE patient_orthanc_id = ?", (patient,)
        ).fetchone()
        # By somebody else, who will want it to stay so.
        was_protected = self._pacs.is_protected(patient) if ours is None else ours["was_protected"]
        # Noted first: what a crash leaves behind must be freed in the end.
        self._connection.execute(
            "INSERT INTO protected_studies VALUES (?, ?, ?)", (study, patient, int(was_protected))
        )
        self._pacs.protect(patient, is_protected=True)

    def _free(self, study: str) -> None:
        row = self._connection.execute(
            "SELECT * FROM protected_studies WHERE study_orthanc_id = ?", (study,)
        ).fetchone()
        patient = row["patient_orthanc_id"]
        others = self._connection.execute(
            "SELECT 1 FROM protected_studies WHERE patient_orthanc_id = ? AND study_orthanc_id != ?",
            (patient, study),
        ).fetchone()
        if others is None and not row["was_protected"]:
            try:
                self._pacs.protect(patient, is_protected=False)
            except ResourceGone:
                pass
            except RequestRefused:
                return
        self._connection.execute(
            "DELETE FROM protected_studies WHERE study_orthanc_id = ?", (study,)
        )

    def _protected(self) -> set[str]:
        rows = self._connection.execute("SELECT study_orthanc_id FROM protected_studies")
        return {str(row["study_orthanc_id"]) for row in rows}

    def _open_studies(self) -> set[str]:
        rows = self._connection.execute(
            "SELECT study_orthanc_id FROM jobs WHERE state IN (?, ?, ?)"
            " UNION SELECT study_orthanc_id FROM arriving",
            OPEN,
        )
        return {str(row["study_orthanc_id"]) for row in rows}
