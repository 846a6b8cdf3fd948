"""Makes a bucket on an S3 server that has just been started: `create_bucket.py URL NAME`."""

import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

#: Seconds that the server may take to come up.
PATIENCE = 60


def main(url: str, name: str) -> None:
    client = boto3.client("s3", endpoint_url=url)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            client.create_bucket(Bucket=name)
        except client.exceptions.BucketAlreadyOwnedByYou:
            return
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
