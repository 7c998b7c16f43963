"""What a project asks of an annotator: its classes, and the check of one answer against them.

The schema language is Label Studio's labeling configuration, with a short form for plain classes. Here only what the
loop must know is read from it: the names of its controls and, from the first `<Choices>`, the classes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from labelloop.domain.errors import Invalid, InvalidProject
from labelloop.domain.types import Answer, LeaseId
from labelloop.projects import ClassLabels, LabelStudioLabels, Project

MAX_COMMENT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The classes of a project, and the controls whose results it takes (None: plain classes only)."""

    kind: str
    classes: tuple[str, ...]
    controls: Mapping[str, str] | None
    instructions: str = ""

    def code(self, label: str) -> int:
        """Place of a class among the classes."""
        return self.classes.index(label)

    def answer(self, raw: Mapping[str, Any], lease: LeaseId) -> Answer:
        """Check one answer as it came over the wire.

        Raises:
            Invalid: neither label nor result, a label outside the schema, or a result of an unknown control.
        """
        unknown = set(raw) - {"lease", "label", "result", "seconds", "comment"}
        if unknown:
            raise Invalid(f"unknown keys {sorted(unknown)}; an answer has: lease, label, result, seconds, comment")
        seconds, comment = raw.get("seconds"), raw.get("comment")
        if seconds is not None and not (_is_number(seconds) and 0 <= seconds < 1e7):
            raise Invalid("`seconds` must be a number from 0 up, or left out")
        if comment is not None and not (isinstance(comment, str) and len(comment) <= MAX_COMMENT):
            raise Invalid(f"`comment` must be text of at most {MAX_COMMENT} characters, or left out")
        if (raw.get("label") is None) == (raw.get("result") is None):
            raise Invalid("give either `label` (a class) or `result` (a Label Studio result)")
        if raw.get("result") is not None:
            label, value = self._read_result(raw["result"])
        else:
            label = value = self._check_label(raw["label"])
        return Answer(lease=lease, value=value, label=label, result=raw.get("result"), seconds=seconds, comment=comment)

    def _check_label(self, label: Any) -> str:
        if not isinstance(label, str) or label not in self.classes:
            raise Invalid(f"the label {label!r} is not in the schema; classes: {_listed(self.classes)}")
        return label

    def _read_result(self, result: Any) -> tuple[str | None, str]:
        if self.controls is None:
            raise Invalid("this project takes plain classes: give `label`, not `result`")
        if not isinstance(result, list) or not all(isinstance(region, dict) for region in result):
            raise Invalid("`result` must be a list of regions, as Label Studio writes them")
        chosen: list[str] = []
        for place, region in enumerate(result):
            name = region.get("from_name")
            if region.get("type") == "relation":
                continue
            if not isinstance(name, str) or name not in self.controls:
                raise Invalid(f"result[{place}]: no control {name!r}; controls: {_listed(tuple(self.controls))}")
            value = region.get("value")
            if not isinstance(value, dict):
                raise Invalid(f"result[{place}]: `value` must be an object")
            if self.controls[name] == "Choices":
                choices = value.get("choices")
                if not isinstance(choices, list):
                    raise Invalid(f"result[{place}]: `value.choices` must be a list")
                chosen += [self._check_label(choice) for choice in choices] if self._learns(name) else []
        label = chosen[0] if len(chosen) == 1 else None
        return label, label or _digest(result)

    def _learns(self, control: str) -> bool:
        """Whether the classes are those of this control: the first `<Choices>`."""
        return control == next((n for n, tag in (self.controls or {}).items() if tag == "Choices"), None)


def of(project: Project) -> Schema:
    """The schema of a project.

    Raises:
        InvalidProject: a labeling configuration that is not XML, or without a control.
    """
    return of_labels(project.labels)


@lru_cache(maxsize=256)
def of_labels(labels: ClassLabels | LabelStudioLabels) -> Schema:
    """The schema of the `labels` section alone."""
    if isinstance(labels, ClassLabels):
        return Schema(kind="classes", classes=labels.classes, controls=None, instructions=labels.instructions)
    try:
        root: Element = fromstring(labels.config)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InvalidProject(f"labels.config is not a Label Studio configuration: {error}") from None
    controls = {tag.get("name", ""): tag.tag for tag in root.iter() if tag.get("toName") and tag.get("name")}
    if not controls:
        raise InvalidProject("labels.config has no control: a tag with `name` and `toName`, such as <Choices>")
    first = next((tag for tag in root.iter("Choices")), None)
    choices = first.iter("Choice") if first is not None else ()
    classes = tuple(choice.get("alias") or choice.get("value") or "" for choice in choices)
    if len(set(classes)) != len(classes) or "" in classes:
        raise InvalidProject("labels.config: each <Choice> needs a `value` of its own")
    return Schema(kind="label_studio", classes=classes, controls=controls, instructions=labels.instructions)


def _digest(result: list[dict[str, Any]]) -> str:
    """What two equal results share: their content without the ids that an editor makes up."""
    bare = [{key: value for key, value in region.items() if key not in {"id", "origin", "score"}} for region in result]
    return "sha256:" + hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(names: tuple[str, ...], most: int = 100) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
