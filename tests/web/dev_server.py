"""The dashboard over the fixture, to look at: `python -m tests.web.dev_server --synthetic`."""

from __future__ import annotations

import argparse

from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.web.router import create_router
from tests.web.fake_service import FakeService


def main() -> None:
    """Until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8400)
    parser.add_argument("--count", type=int, default=40, help="workloads")
    for name in ("synthetic", "simulated", "worse", "no-plan", "degraded"):
        parser.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args()
    service = FakeService(
        given.count, synthetic=given.synthetic, simulated=given.simulated, worse=given.worse
    )
    service.no_plan = given.no_plan
    service.faults = ("source energy_charts has failed 3 times in a row",) if given.degraded else ()
    server = ApiServer(create_app(service, web_router=create_router(service)), port=given.port)
    print(f"http://127.0.0.1:{given.port}/")
    server.run()


if __name__ == "__main__":
    main()
