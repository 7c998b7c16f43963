"""How jobs are named: by kind, project and number, so that people can read them; no two ever have the same name."""

import re

from labelloop.domain.states import JobKind
from labelloop.domain.types import JobId

_KINDS = "|".join(JobKind)


def name_job(kind: JobKind, project: str, number: int, *, again: int | None = None) -> JobId:
    """`train-mail-3`. Where another project had this name before, `again` is the row of this one: `train-mail-P7-3`.

    Names of projects have small letters only, so nobody takes that for the project `mail-p7`.
    """
    return JobId(f"{kind}-{project}-{number}" if again is None else f"{kind}-{project}-P{again}-{number}")


def attempt_of(project: str, text: str) -> bool:
    """Whether `text`, such as `train-mail-3-1`, names an attempt of a job of this project or of an earlier namesake."""
    return re.fullmatch(rf"(?:{_KINDS})-{re.escape(project)}(?:-P\d+)?-\d+-\d+", text) is not None
