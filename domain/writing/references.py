"""What the records of a batch name, tasks or conversations, resolved to ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from db.handles import Handle
from domain.errors import InvalidInput, NotFound
from domain.ids import show_id
from domain.records import Ref
from domain.text import name as fit_name

Name = tuple[str, str]
Find = Callable[[Handle, Sequence[Name], Sequence[UUID]], Awaitable[tuple[dict[Name, UUID], set[UUID]]]]


def name_of(origin: str, external_id: str) -> Name:
    """A source's name for something, as it is stored."""
    return fit_name(origin), fit_name(external_id)


@dataclass(slots=True)
class References:
    """Ids of what a batch names. `kind` is the prefix of their ids."""

    kind: str
    by_name: dict[Name, UUID] = field(default_factory=dict)
    ids: set[UUID] = field(default_factory=set)
    _found: dict[Name, UUID] = field(default_factory=dict)  # by what a source calls it, as it came

    def find(self, ref: Ref | None) -> UUID | None:
        """The id, or None when nothing of that name is stored yet. Raises NotFound for an id that does not exist."""
        if ref is None:
            return None
        if ref.id is None:
            said = (ref.origin, ref.external_id)
            found = self._found.get(said)
            if found is None and (found := self.by_name.get(name_of(*said))) is not None:
                self._found[said] = found
            return found
        if ref.id not in self.ids:
            raise NotFound(f"there is no {self.kind} {show_id(self.kind, ref.id)}", (f"{self.kind}Id",))
        return ref.id

    def require(self, ref: Ref) -> UUID:
        """The id. Raises NotFound, or InvalidInput for a source's name whose record was not written first."""
        found = self.find(ref)
        if found is None:
            raise InvalidInput(f"no {self.kind} is called {ref.external_id!r} by {ref.origin!r}", (self.kind,))
        return found


async def resolve(
    transaction: Handle, kind: str, find: Find, names: Iterable[Name], refs: Iterable[Ref | None]
) -> References:
    """Look up names and references, each once, by one statement; none when there is nothing to look up."""
    given = [ref for ref in refs if ref is not None]
    ids = {ref.id for ref in given if ref.id is not None}
    said = {(ref.origin, ref.external_id) for ref in given if ref.id is None}
    wanted = {*names, *(name_of(*one) for one in said)}
    if not wanted and not ids:
        return References(kind)
    by_name, stored = await find(transaction, sorted(wanted), sorted(ids))
    return References(kind, by_name, stored)
