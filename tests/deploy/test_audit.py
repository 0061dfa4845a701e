"""The daily question about known vulnerabilities: what fails, what is let pass, what is only said."""

import datetime as dt
import json
from pathlib import Path

import audit
import pytest
import setup

NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
FOUND = audit.Finding("left-pad 1.0", ("GHSA-1", "CVE-1"), "1.1")


def test_a_vulnerability_that_pip_audit_names_is_a_finding() -> None:
    vulnerability = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}
    packages = [
        {"name": "a", "version": "1.0", "vulns": [vulnerability]},
        {"name": "b", "skip_reason": "not found"},
    ]
    answer = audit.read_pip_audit(json.dumps({"dependencies": packages}))
    assert answer
    assert answer.findings == [audit.Finding("a 1.0", ("PYSEC-1", "CVE-1"), "1.1")]
    assert answer.unknown == ["Python: no data about b"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"dependencies": [{"name": "a", "skip_reason": "not found"}]}'])
def test_a_source_that_knows_no_package_was_not_reached(text: str) -> None:
    assert audit.read_pip_audit(text) is None


def test_a_vulnerability_that_npm_names_is_one_finding() -> None:
    via = {"url": "https://advisories.example/GHSA-1", "range": "<2"}
    report = {"vulnerabilities": {"a": {"via": [via]}, "b": {"via": ["a"]}}}
    answer = audit.read_npm_audit(json.dumps(report))
    assert answer
    assert answer.findings == [audit.Finding("a <2", ("GHSA-1",))]
    assert audit.read_npm_audit('{"message": "405 Method Not Allowed"}') is None


def test_an_accepted_vulnerability_passes_until_its_date() -> None:
    text = '[[accepted]]\nid = "CVE-1"\nreason = "never called"\nuntil = 2026-12-01\n'
    today = NOW.date()
    assert audit.refused([FOUND], audit.read_accepted(text, today)) == []
    assert audit.refused([FOUND], audit.read_accepted(text, today + dt.timedelta(days=1))) == [FOUND]


@pytest.mark.parametrize("entry", ['id = "CVE-1"\nuntil = 2026-12-01', 'id = "CVE-1"\nreason = "never called"'])
def test_an_exception_without_reason_or_date_is_refused(entry: str) -> None:
    with pytest.raises(setup.SetupError):
        audit.read_accepted(f"[[accepted]]\n{entry}\n", NOW.date())


@pytest.mark.parametrize(("unknown", "asks_after_two_hours"), [([], 0), (["npm: not reached"], 1)])
def test_an_answer_is_kept_for_a_day_and_silence_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unknown: list[str], asks_after_two_hours: int
) -> None:
    asked = []
    monkeypatch.setattr(audit, "KEPT", tmp_path / "audit.json")
    monkeypatch.setattr(audit, "ask", lambda: asked.append(1) or audit.Answer([FOUND], unknown, ["Python"]))
    for hours in (0, 0.5, 2):
        assert audit.kept_or_asked(NOW + dt.timedelta(hours=hours)).findings == [FOUND]
    assert len(asked) == 1 + asks_after_two_hours
    audit.kept_or_asked(NOW + dt.timedelta(days=2))
    assert len(asked) == 2 + asks_after_two_hours


def test_a_known_vulnerability_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "KEPT", tmp_path / "audit.json")
    monkeypatch.setattr(audit, "bills_of_materials", lambda: None)
    monkeypatch.setattr(audit, "ask", lambda: audit.Answer([FOUND], [], ["Python", "npm"]))
    assert audit.main() == 1
    audit.KEPT.unlink()
    monkeypatch.setattr(audit, "ask", lambda: audit.Answer([], ["Python: not reached", "npm: not reached"]))
    assert audit.main() == 0
