"""The variables that lead AWS's command line and SDKs to an ecrsim."""

from __future__ import annotations


def exports(url: str, account: str, region: str) -> dict[str, str]:
    """For the endpoint `http://localhost:5100`, with an access key that is the account's number.

    STS is here as well, where pipelines begin with `aws sts get-caller-identity`, and AWS Signer for its profiles. The
    region has two names: AWS CLI version 1 and boto3 read AWS_DEFAULT_REGION, other SDKs AWS_REGION.
    """
    return {
        "AWS_ENDPOINT_URL_ECR": url,
        "AWS_ENDPOINT_URL_ECR_PUBLIC": url,
        "AWS_ENDPOINT_URL_STS": url,
        "AWS_ENDPOINT_URL_SIGNER": url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "ecrsim",
    }
