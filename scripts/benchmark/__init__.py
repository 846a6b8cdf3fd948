"""Speed and memory of ecrsim beside moto server, ministack and docker-registry, measured in one run on one machine.

Only the standard library is used: the load must not depend on what is being measured, and `scripts/bench` has to run
before anything is installed. The parts: `install` (environments), `targets` and `processes` (servers), `wire`,
`load`, `registry` and `images` (what is sent), `api`, `growth`, `dataplane`, `footprint` and others (the rows),
`planning` and `examining` (what is measured inside of ecrsim), `figures` and `report` (the table), `command`.
"""
