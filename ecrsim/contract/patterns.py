"""The regular expressions of the model, evaluated in linear time.

Several patterns of the model repeat a repetition, and a hostile value makes such a pattern backtrack for minutes. Each
of them has an equal here that cannot: its repetitions are possessive, which is right because what may follow one never
starts like it. Messages go on printing the service's own text; only the evaluation is another.

The service evaluates as Java does: the pattern must match the whole value, and its classes are ASCII.
"""

from __future__ import annotations

import functools
import re

_PATH = r"[a-z0-9]++(?:(?:\.|__?+|-++)[a-z0-9]++)*+(?:/[a-z0-9]++(?:(?:\.|__?+|-++)[a-z0-9]++)*+)*+"
_ARN_PARTITION = r"arn:aws(?:-[a-z]++)*+"

#: The model's text, and its linear equal.
LINEAR = {
    # Repository names, private (since 2026) and public.
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*": _PATH,
    r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*": r"[a-z0-9]++(?:[._/-][a-z0-9]++)*+",
    # Prefixes of pull-through cache rules and creation templates.
    r"^([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\/?|ROOT)$": rf"(?:{_PATH}/?+|ROOT)",
    # Filters: of replication rules, of scanning rules (the model's is exponential), of signing rules.
    r"^(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*$": (r"(?:[a-z0-9][a-z0-9._-]*+/)*+[a-z0-9._-]*+"),
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": r"[a-z0-9*]++(?:[._/-][a-z0-9*]++)*+",
    r"^(?:[a-z0-9*]+(?:[._-][a-z0-9*]+)*/)*[a-z0-9*]+(?:[._-][a-z0-9*]+)*$": r"[a-z0-9*]++(?:[._/-][a-z0-9*]++)*+",
    # ARNs: of principals, of secrets, of signing profiles.
    r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$": (
        _ARN_PARTITION + r":iam::[0-9]{12}:(?:role|user)(?:/[\w+=,.@-]++)++"
    ),
    r"^arn:aws(-\w+)*:secretsmanager:[a-zA-Z0-9-:]+:secret:ecr\-pullthroughcache\/[a-zA-Z0-9\/_+=.@-]+$": (
        r"arn:aws(?:-\w++)*+:secretsmanager:[a-zA-Z0-9:-]+:secret:ecr-pullthroughcache/[a-zA-Z0-9/_+=.@-]++"
    ),
    r"^arn:aws(-[a-z]+)*:signer:[a-z0-9-]+:[0-9]{12}:\/signing-profiles\/[a-zA-Z0-9_]{2,}$": (
        _ARN_PARTITION + r":signer:[a-z0-9-]++:[0-9]{12}:/signing-profiles/[a-zA-Z0-9_]{2,}+"
    ),
}


@functools.cache
def evaluated(pattern: str) -> re.Pattern[str]:
    """The compiled pattern of the model; to be used with `fullmatch`."""
    return re.compile(LINEAR.get(pattern, pattern), re.ASCII)
