"""The journal's tables, and the steps from one schema version to the next."""

import sqlite3

from inference.domain.errors import ConfigurationInvalid


def _tally(table: str, column: str) -> str:
    """Triggers that keep the numbers of a table's rows by one column: to count 400,000 rows anew takes 0.2 s."""
    return f"""
    INSERT INTO tallies SELECT '{table}', {column}, count(*) FROM {table} GROUP BY {column};
    CREATE TRIGGER {table}_tally_i AFTER INSERT ON {table} BEGIN
      INSERT INTO tallies VALUES ('{table}', new.{column}, 1)
        ON CONFLICT (counted, name) DO UPDATE SET n = n + 1;
    END;
    CREATE TRIGGER {table}_tally_d AFTER DELETE ON {table} BEGIN
      UPDATE tallies SET n = n - 1 WHERE counted = '{table}' AND name = old.{column};
    END;
    CREATE TRIGGER {table}_tally_u AFTER UPDATE OF {column} ON {table}
    WHEN old.{column} != new.{column} BEGIN
      UPDATE tallies SET n = n - 1 WHERE counted = '{table}' AND name = old.{column};
      INSERT INTO tallies VALUES ('{table}', new.{column}, 1)
        ON CONFLICT (counted, name) DO UPDATE SET n = n + 1;
    END;
    """  # noqa: S608 # names of our own tables


MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE jobs (
      key TEXT PRIMARY KEY,
      series_uid TEXT NOT NULL,
      series_orthanc_id TEXT NOT NULL,
      study_orthanc_id TEXT NOT NULL,
      set_hash TEXT NOT NULL,
      instance_count INTEGER NOT NULL,
      profile_hash TEXT NOT NULL,
      models TEXT NOT NULL,
      code_version TEXT NOT NULL,
      run INTEGER NOT NULL,
      state TEXT NOT NULL,
      priority INTEGER NOT NULL DEFAULT 0,
      attempts INTEGER NOT NULL DEFAULT 0,
      interruptions INTEGER NOT NULL DEFAULT 0,
      fence INTEGER NOT NULL DEFAULT 0,
      lease_until REAL NOT NULL DEFAULT 0,
      run_at REAL NOT NULL,
      reason TEXT NOT NULL DEFAULT '',
      detail TEXT NOT NULL DEFAULT '',
      stage TEXT NOT NULL DEFAULT '',
      fraction REAL NOT NULL DEFAULT 0,
      created_at REAL NOT NULL,
      updated_at REAL NOT NULL,
      superseded_by TEXT
    ) STRICT;
    CREATE INDEX jobs_ready ON jobs (state, priority DESC, run_at);
    CREATE INDEX jobs_series ON jobs (series_uid);
    CREATE TABLE attempts (
      key TEXT NOT NULL REFERENCES jobs (key),
      fence INTEGER NOT NULL,
      started_at REAL NOT NULL,
      ended_at REAL,
      outcome TEXT,
      reason TEXT,
      PRIMARY KEY (key, fence)
    ) STRICT;
    CREATE TABLE results (
      key TEXT NOT NULL REFERENCES jobs (key),
      role TEXT NOT NULL,
      file_name TEXT NOT NULL,
      sha256 TEXT NOT NULL,
      bytes INTEGER NOT NULL,
      sop_uid TEXT,
      series_uid TEXT,
      study_uid TEXT,
      orthanc_id TEXT,
      PRIMARY KEY (key, role)
    ) STRICT;
    CREATE TABLE deliveries (
      key TEXT NOT NULL,
      role TEXT NOT NULL,
      destination TEXT NOT NULL,
      required INTEGER NOT NULL,
      state TEXT NOT NULL,
      tries INTEGER NOT NULL DEFAULT 0,
      next_try_at REAL NOT NULL,
      orthanc_job_id TEXT,
      reason TEXT NOT NULL DEFAULT '',
      updated_at REAL NOT NULL,
      PRIMARY KEY (key, role, destination),
      FOREIGN KEY (key, role) REFERENCES results (key, role)
    ) STRICT;
    CREATE INDEX deliveries_due ON deliveries (state, next_try_at);
    CREATE TABLE skipped (
      series_uid TEXT PRIMARY KEY,
      reason TEXT NOT NULL,
      seen_at REAL NOT NULL
    ) STRICT;
    CREATE TABLE audit (
      id INTEGER PRIMARY KEY,
      at REAL NOT NULL,
      actor TEXT NOT NULL,
      event TEXT NOT NULL,
      key TEXT NOT NULL,
      detail TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER audit_is_append_only_u BEFORE UPDATE ON audit
      BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
    CREATE TRIGGER audit_is_append_only_d BEFORE DELETE ON audit
      BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
    """,
    """
    ALTER TABLE skipped ADD COLUMN study_orthanc_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE skipped ADD COLUMN series_number INTEGER;
    ALTER TABLE skipped ADD COLUMN images INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE skipped ADD COLUMN score INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE skipped ADD COLUMN detail TEXT NOT NULL DEFAULT '';
    CREATE INDEX skipped_study ON skipped (study_orthanc_id);
    CREATE INDEX jobs_study ON jobs (study_orthanc_id);
    CREATE TABLE choices (
      series_uid TEXT PRIMARY KEY,
      series_number INTEGER,
      score INTEGER NOT NULL,
      detail TEXT NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE jobs ADD COLUMN demographics TEXT NOT NULL DEFAULT '';
    ALTER TABLE results ADD COLUMN sop_class_uid TEXT NOT NULL DEFAULT '';
    CREATE TABLE predecessors (
      key TEXT NOT NULL REFERENCES jobs (key),
      role TEXT NOT NULL,
      study_uid TEXT NOT NULL,
      series_uid TEXT NOT NULL,
      sop_uid TEXT NOT NULL,
      sop_class_uid TEXT NOT NULL,
      PRIMARY KEY (key, sop_uid)
    ) STRICT;
    CREATE INDEX jobs_superseded_by ON jobs (superseded_by);
    UPDATE jobs SET state = 'superseded' WHERE state = 'done' AND superseded_by IS NOT NULL;
    """,
    """
    CREATE TABLE commands (
      id TEXT PRIMARY KEY,
      kind TEXT NOT NULL,
      actor TEXT NOT NULL,
      at REAL NOT NULL,
      outcome TEXT NOT NULL,
      job TEXT
    ) STRICT;
    CREATE TABLE entered_sizes (
      study_orthanc_id TEXT PRIMARY KEY,
      height_m REAL,
      weight_kg REAL,
      entered_by TEXT NOT NULL,
      entered_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX jobs_newest ON jobs (created_at, key);
    CREATE INDEX jobs_state_newest ON jobs (state, created_at, key);
    CREATE INDEX audit_job ON audit (key, id);
    """,
    """
    ALTER TABLE deliveries ADD COLUMN commitment_id TEXT;
    ALTER TABLE deliveries ADD COLUMN sent_at REAL;
    ALTER TABLE deliveries ADD COLUMN verified_by TEXT NOT NULL DEFAULT '';
    CREATE INDEX deliveries_lane ON deliveries (destination, state, next_try_at);
    """,
    """
    ALTER TABLE jobs ADD COLUMN route TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN window TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE protected_studies (
      study_orthanc_id TEXT PRIMARY KEY,
      patient_orthanc_id TEXT NOT NULL,
      was_protected INTEGER NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE jobs ADD COLUMN spooled INTEGER NOT NULL DEFAULT 1;
    CREATE INDEX jobs_to_unspool ON jobs (updated_at) WHERE spooled = 1;
    """,
    """
    CREATE INDEX results_not_stored ON results (key)
      WHERE sop_uid IS NOT NULL AND orthanc_id IS NULL;
    CREATE TABLE tallies (
      counted TEXT NOT NULL,
      name TEXT NOT NULL,
      n INTEGER NOT NULL,
      PRIMARY KEY (counted, name)
    ) STRICT, WITHOUT ROWID;
    """
    + _tally("jobs", "state")
    + _tally("deliveries", "state")
    + _tally("skipped", "reason"),
    """
    ALTER TABLE commands ADD COLUMN detail TEXT NOT NULL DEFAULT '';
    """,
    """
    DROP INDEX jobs_to_unspool;
    CREATE INDEX jobs_to_unspool ON jobs (updated_at)
      WHERE spooled = 1 AND state IN ('done', 'superseded');
    """,
    """
    CREATE TABLE arriving (study_orthanc_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE entered_levels (
      series_uid TEXT PRIMARY KEY,
      sop_uid_hash TEXT,
      instance_number INTEGER,
      z_mm REAL,
      entered_by TEXT NOT NULL,
      entered_at REAL NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE jobs ADD COLUMN received_at REAL;
    CREATE INDEX jobs_queued_lane ON jobs (priority, created_at) WHERE state = 'queued';
    CREATE TABLE histograms (
      measured TEXT NOT NULL,
      label TEXT NOT NULL,
      up_to REAL NOT NULL,
      n INTEGER NOT NULL,
      seconds REAL NOT NULL,
      PRIMARY KEY (measured, label, up_to)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE destination_outcomes (
      destination TEXT PRIMARY KEY,
      is_reached INTEGER NOT NULL,
      at REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO tallies SELECT 'attempts', outcome || '/' || ifnull(reason, ''), count(*)
      FROM attempts WHERE outcome IS NOT NULL GROUP BY outcome, ifnull(reason, '');
    CREATE TRIGGER attempts_tally_u AFTER UPDATE OF outcome ON attempts
    WHEN old.outcome IS NULL AND new.outcome IS NOT NULL BEGIN
      INSERT INTO tallies VALUES ('attempts', new.outcome || '/' || ifnull(new.reason, ''), 1)
        ON CONFLICT (counted, name) DO UPDATE SET n = n + 1;
    END;
    INSERT INTO tallies SELECT 'deliveries_to', state || '/' || destination, count(*)
      FROM deliveries GROUP BY state, destination;
    CREATE TRIGGER deliveries_to_tally_i AFTER INSERT ON deliveries BEGIN
      INSERT INTO tallies VALUES ('deliveries_to', new.state || '/' || new.destination, 1)
        ON CONFLICT (counted, name) DO UPDATE SET n = n + 1;
    END;
    CREATE TRIGGER deliveries_to_tally_d AFTER DELETE ON deliveries BEGIN
      UPDATE tallies SET n = n - 1
        WHERE counted = 'deliveries_to' AND name = old.state || '/' || old.destination;
    END;
    CREATE TRIGGER deliveries_to_tally_u AFTER UPDATE OF state ON deliveries
    WHEN old.state != new.state BEGIN
      UPDATE tallies SET n = n - 1
        WHERE counted = 'deliveries_to' AND name = old.state || '/' || old.destination;
      INSERT INTO tallies VALUES ('deliveries_to', new.state || '/' || new.destination, 1)
        ON CONFLICT (counted, name) DO UPDATE SET n = n + 1;
    END;
    """,
)
"""Entry n brings a journal from version n to n + 1; published entries are never edited."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the journal to the newest version, each step in one transaction; raises ConfigurationInvalid."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise ConfigurationInvalid(
            found=f"a journal of schema version {version}",
            wanted=f"version {len(MIGRATIONS)} or older",
            advice="It was written by a newer Habitus: run that one, or use another data folder.",
        )
    for number in range(version, len(MIGRATIONS)):
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;"
        )
