"""The page for a browser: what this is, and the first commands, made out for the address that was opened."""

from __future__ import annotations

from html import escape

from ecrsim import __version__
from ecrsim.contract.models import SERVICES, service
from ecrsim.contract.operations import missing
from ecrsim.core.arn import Registry
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.repositories.service import proxy_endpoint, repository_uri


def front_page(runtime: Runtime, origin: str, host: str) -> str:
    """`origin` and `host` as the browser wrote them. The registry's name is theirs where it is not a setting."""
    config = runtime.config
    registry = Registry(config.account, config.region)
    uri, login = repository_uri(runtime, registry, "app"), proxy_endpoint(runtime, registry)
    if config.registry_host == "localhost":
        # The port may be another one outside of a container; what the browser reached, docker reaches as well.
        uri, login = f"{host}/app", host
    models = [service(name) for name in SERVICES]
    values = {
        "version": __version__,
        "account": config.account,
        "region": config.region,
        "origin": origin,
        "uri": uri,
        "login": login.partition("://")[2] or login,
        "built": str(sum(len(model.operations) - len(missing(model.name)) for model in models)),
        "known": str(sum(len(model.operations) for model in models)),
    }
    return _TEMPLATE.format(**{name: escape(value) for name, value in values.items()}, style=_STYLE)


_STYLE = """
:root { color-scheme: light dark; --soft: #eef1f4; --line: #c9d1d9; --dim: #57606a }
@media (prefers-color-scheme: dark) { :root { --soft: #1f242b; --line: #3d444d; --dim: #9aa4af } }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 50rem; margin: 2.5rem auto; padding: 0 1rem }
h1 { margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.state { color: var(--dim); margin-top: .25rem }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .75rem 1rem; overflow: auto }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem }
"""

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ecrsim</title>
<style>{style}</style>
</head>
<body>
<h1>ecrsim</h1>
<p class="state">version {version} · account {account} · region {region} · {built} of {known} operations</p>
<p>This is Amazon ECR on this machine. The ECR API and the registry that docker speaks to answer at this address, over
one store: what is pushed shows in the API at once. There is nothing to click here; use the AWS command line, an SDK, or
any registry client.</p>
<h2>Point the AWS command line at it</h2>
<pre>export AWS_ENDPOINT_URL_ECR={origin} AWS_ENDPOINT_URL_STS={origin}
export AWS_DEFAULT_REGION={region}
export AWS_ACCESS_KEY_ID={account} AWS_SECRET_ACCESS_KEY=ecrsim</pre>
<h2>Push an image</h2>
<pre>aws ecr create-repository --repository-name app
aws ecr get-login-password | docker login --username AWS --password-stdin {login}
docker tag IMAGE {uri}:v1
docker push {uri}:v1
aws ecr describe-images --repository-name app</pre>
<p>podman, skopeo and buildah want <code>--tls-verify=false</code> with a registry that speaks plain HTTP.</p>
<h2>Ask from Python</h2>
<pre>import boto3

ecr = boto3.client("ecr", endpoint_url="{origin}", region_name="{region}",
                   aws_access_key_id="{account}", aws_secret_access_key="ecrsim")
print(ecr.describe_repositories()["repositories"])</pre>
<p>An access key of twelve digits is that account; any other one belongs to account {account}.
Health: <a href="/_ecrsim/health">/_ecrsim/health</a>.</p>
</body>
</html>
"""
