"""`python -m scripts.samples --if yes http://nginx:8080/douyin`: for containers, where one variable says whether it is wanted."""

import argparse
import sys
import time

from scripts.samples import SAMPLE_USERS, SamplesRefused, put_samples_in

# The system is just starting, and perhaps busy with it; what is there already is not put in twice.
GIVE_UP_AFTER_S, PAUSE_S = 120, 3


def main() -> int:
    """Put the samples in, unless they are not wanted; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.samples", description=__doc__)
    parser.add_argument("--if", dest="wanted", choices=["yes", "no"], default="yes")
    parser.add_argument("base_url", help="where the API is, with /douyin at its end")
    options = parser.parse_args()
    if options.wanted == "no":
        print("no samples are wanted")
        return 0
    deadline = time.monotonic() + GIVE_UP_AFTER_S
    while True:
        try:
            users, videos = put_samples_in(options.base_url)
            break
        except SamplesRefused as exc:
            print(f"the samples could not be put in: {exc}", file=sys.stderr)
            if time.monotonic() > deadline:
                return 1
        time.sleep(PAUSE_S)
    names = ", ".join(f"{user.name} / {user.password}" for user in SAMPLE_USERS)
    print(f"{users} sample users and {videos} sample videos are there: {names}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
