"""Recognizes that the credit or quota of the gateway's own account is exhausted, by a provider's codes and words.

Input: codes and a message in lower case, and what was sent. Words count only where the caller did
not send them. On a 429 words do not count at all: providers also call limits per minute a quota.
"""

import re
from collections.abc import Iterable
from typing import Final

from app.gateway.openai.refused_request import is_in_message
from app.gateway.openai.sent_request import SentRequest

_CODES: Final = frozenset(
    {"billing", "billing_error", "billing_hard_limit_reached", "billing_not_active", "payment_required", "credit_limit_reached",
     "quota_exhausted", "account_deactivated", "exceeded_current_quota_error", "arrearage", "accountoverdueerror", "credit_limit", "1113",
     "budget_exceeded"}
)  # fmt: skip
_MONEY: Final = r"(?:balance|credits?|funds?)"
_END: Final = r"(?![a-z])"
_GONE: Final = r"(?:insufficient|exhausted|depleted|used[ _]?up|too[ _]?low|not[ _]?enough|overdrawn|negative)"
# Each provider has its own: NOT_ENOUGH_BALANCE, InsufficientBalanceError, no_credits, AllocationQuota.FreeTierOnly.
_CODE: Final = re.compile(
    rf"(?<![a-z])(?:insufficient|not_?enough|no(?:_more)?|out_?of|low|negative)_?(?:[a-z]+_)?(?:{_MONEY}|quota)(?:{_END}|error|exception)"
    rf"|(?<![a-z])(?:[a-z]+_)?{_MONEY}_?(?:is_?)?{_GONE}|free_?tier_?(?:only|exhausted|exceeded|used_?up|expired)"
)
# On any status but 429, where they may as well be about a limit per minute.
_QUOTA_CODE: Final = re.compile(
    r"quota_?(?:limit_?)?(?:exceeded|exhausted|reached|used_?up)|(?:exceeded|exhausted)_?quota"
)
_SHAPE: Final = re.compile(r"[\w.:/-]{1,80}")

_WORDS: Final = re.compile(
    r"insufficient[ _](?:\w+ ){0,2}(?:quota|balance|credits?|funds?)(?![a-z])|(?:credit )?balance is too low"
    rf"|\b{_MONEY} (?:(?:is|are|was|has|have|been|currently|now|already|all) ){{0,3}}{_GONE}\b"
    r"|\bquota (?:(?:is|was|has|have|been|already) ){0,3}(?:insufficient|exhausted|depleted|used up|not enough|exceeded)\b"
    r"|\bfree (?:tier|trial|allowance)(?: (?:of|for) \w+ \w+)? (?:(?:is|was|has|been|already) ){1,3}"
    r"(?:exhausted|exceeded|used up|ended|expired|over)\b"
    rf"|\bused up (?:all )?(?:your|the|its|their) (?:\w+ )?(?:{_MONEY}|quota)\b"
    rf"|(?:out of|not enough|\bno|more) (?:(?:account|remaining|available|prepaid|more|paid) )?{_MONEY}\b"
    rf"|\b(?:does|do|did)(?: not|n.t) have (?:any |enough |sufficient )?(?:\w+ )?(?:{_MONEY}|quota)\b"
    r"|(?:reached|exceeded|hit) (?:your|the|its) (?:\w+ ){0,3}(?:usage|budget|credit) (?:limits?|cap)\b"
    # The longer ones come first: a prompt may have the word alone.
    r"|(?:enable|check|update|add|verify|plans? (?:and|&)) (?:your )?(?:plan and )?billing|prepaid (?:balance|credits?|account|quota)"
    r"|billing (?:(?:hard|soft) limit|limit|account|details|(?:is |has )?(?:not |been )*(?:active|enabled|disabled))"
    r"|billing|payment required|overdue balance|key limit exceeded|out of call volume quota|used all available credits"
    r"|\b(?:enter|add|provide|update|missing|valid|no) (?:an? |your )?(?:valid )?payment (?:method|details|information)"
    r"|account is in good standing|exceeded your current quota|account is not active|spending limit|prepaid"
    r"|(?:\A|(?<=[.:] ))budget has been exceeded"
    r"|余额不足|欠费|额度(?:不足|已?(?:用尽|用完|耗尽))",
)
# A part of a message that says that the refusal costs nothing.
_UNCHARGED: Final = re.compile(
    r"\b(?:no|nothing)\b(?! longer)[^.;!]{0,30}\b(?:was|were|is|are|been|be)\b[^.;!]{0,10}\b(?:charged|billed|deducted|consumed|used|applied)\b"
    r"|\b(?:was|were|is|are|has|have|will)(?: not|n.t)\b[^.;!]{0,10}\b(?:charged|billed|deducted|consumed|used|applied)\b",
)
_PART: Final = re.compile(r"(?<=[.;!:])\s")


def is_quota_code(codes: Iterable[str], *, is_limit: bool) -> bool:
    """Whether a code names it; `is_limit`: where the status or the code may also be about a limit per minute."""
    return any(
        code in _CODES
        or (_SHAPE.fullmatch(code) and (_CODE.search(code) or (not is_limit and _QUOTA_CODE.search(code))))
        for code in codes
    )


def is_in_quota_words(message: str, sent: SentRequest | None) -> bool:
    """Whether the words of a message name it; that nothing was charged for a refusal is no word about it."""
    parts = [part for part in _PART.split(message) if not _UNCHARGED.search(part)]
    return is_in_message(_WORDS, " ".join(parts), sent)
