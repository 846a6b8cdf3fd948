"""Says to those who move bytes that keys are kept here."""

from __future__ import annotations

from ecrsim.ecr.encryption import datakeys, rules, service
from ecrsim.ecr.repositories.protection import Keeper, keeps_keys

keeps_keys(
    Keeper(
        check_configuration=rules.check_configuration,
        check=service.check,
        generate=datakeys.generate,
        opened=datakeys.open_data_key,
        generate_now=datakeys.generate_now,
        opened_now=datakeys.open_now,
        sharing=datakeys.sharing,
    )
)
