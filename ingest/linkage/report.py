"""What the linkage did, for quality.json and the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape


@dataclass(frozen=True)
class LinkReport:
    """What became of the accounts.

    Attributes:
        accounts: in the accounts table.
        users: that they belong to.
        methods: method -> accounts that it ties to their user.
        links: method -> [links kept, links left out].
        split: column that contradicts, or `decision` -> links left out for it.
        shared_keys: method -> keys left out, since too many accounts share them.
        decisions: decisions between two accounts of the table.
        unknown_decisions: decisions about accounts that are not in the accounts table.
        compared: columns that were compared, by their source names; empty without probabilistic linkage.
        pairs: pairs of accounts compared.
        threshold: match probability from which they were linked; None without.
        precision: expected share of the probabilistic links that are right, by the model.
        recall: expected share of the compared pairs of one person that were linked, by the model.
        untrusted: columns that do not contradict, since the model finds them wrong too often -> how often.
    """

    accounts: int
    users: int
    methods: dict[str, int] = field(default_factory=dict)
    links: dict[str, list[int]] = field(default_factory=dict)
    split: dict[str, int] = field(default_factory=dict)
    shared_keys: dict[str, int] = field(default_factory=dict)
    decisions: int = 0
    unknown_decisions: int = 0
    compared: list[str] = field(default_factory=list)
    pairs: int = 0
    threshold: float | None = None
    precision: float | None = None
    recall: float | None = None
    untrusted: dict[str, float] = field(default_factory=dict)

    def remarks(self) -> list[str]:
        """What an analyst should know, a sentence each."""
        said = [f"{self.accounts:,} accounts belong to {self.users:,} users."]
        if self.threshold is not None:
            said.append(f"{self.pairs:,} pairs were compared by {', '.join(self.compared)}.")
            found = sum(self.links.get("probabilistic", [0]))
            expected = f"the model expects a precision of {self.precision:.4f} and a recall of {self.recall:.4f}"
            said.append(
                f"{found:,} of them reached the match probability {self.threshold:.4f}; {expected}."
                if found
                else f"None of them reached the match probability {self.threshold:.4f}."
            )
        said += [f"{n:,} links were left out, since accounts differ in {name}." for name, n in self.split.items()]
        said += [
            f"{n:,} keys ({name}) were not used: too many accounts share them." for name, n in self.shared_keys.items()
        ]
        said += [
            f"{name} differs within one person in {rate:.1%} of the cases, so that it keeps nobody apart."
            for name, rate in self.untrusted.items()
        ]
        if self.decisions:
            said.append(f"Decisions between accounts of the table: {self.decisions:,}.")
        if self.unknown_decisions:
            said.append(f"Decisions about accounts that the accounts table lacks: {self.unknown_decisions:,}.")
        return said


def section(report: LinkReport | None) -> str:
    """The part of the quality page; empty without accounts."""
    if report is None:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(method)}</code></td><td class='n'>{n:,}</td>"
        + "".join(f"<td class='n'>{k:,}</td>" for k in report.links.get(method, [0, 0]))
        + "</tr>"
        for method, n in {**dict.fromkeys(report.links, 0), **report.methods}.items()
    )
    said = "".join(f"<p>{escape(remark)}</p>" for remark in report.remarks())
    return (
        f"<section><h2>Accounts and users</h2>{said}<table><tr><th>method</th><th class='n'>accounts</th>"
        f"<th class='n'>links kept</th><th class='n'>links left out</th></tr>{rows}</table></section>"
    )
