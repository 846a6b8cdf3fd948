// The requests of the AWS SDK for JavaScript, version 3, for record.py: what it signs, it sends to the recorder.
import {
  BatchGetImageCommand,
  CreateRepositoryCommand,
  DescribeRegistryCommand,
  DescribeRepositoriesCommand,
  ECRClient,
  GetAuthorizationTokenCommand,
  InitiateLayerUploadCommand,
  ListImagesCommand,
  PutImageCommand,
  UploadLayerPartCommand,
} from "@aws-sdk/client-ecr";
import { DescribeRepositoriesCommand as DescribePublicRepositoriesCommand, ECRPUBLICClient } from "@aws-sdk/client-ecr-public";
import { AssumeRoleCommand, GetCallerIdentityCommand, GetSessionTokenCommand, STSClient } from "@aws-sdk/client-sts";
import { Hash } from "@smithy/hash-node";
import { SignatureV4 } from "@smithy/signature-v4";

const endpoint = process.env.RECORDER_ENDPOINT;
const manifest = process.env.RECORDER_MANIFEST;
const roleArn = "arn:aws:iam::123456789012:role/deploy";
const policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}';

// kind: PERMANENT or TEMPORARY, the prefix of the variables that hold the credentials.
function credentials(kind) {
  return {
    accessKeyId: process.env[`${kind}_ACCESS_KEY`],
    secretAccessKey: process.env[`${kind}_SECRET_KEY`],
    sessionToken: process.env[`${kind}_SESSION_TOKEN`],
  };
}

function client(Client, kind, region, path = "") {
  return new Client({ endpoint: endpoint + path, region, credentials: credentials(kind), maxAttempts: 1 });
}

// The recorder denies everything.
async function send(client, command) {
  await client.send(command).catch(() => undefined);
}

class Sha256 extends Hash {
  constructor(secret) {
    super("sha256", secret);
  }
}

async function sendPresigned(kind, region, headers) {
  const url = new URL(endpoint);
  const signer = new SignatureV4({ credentials: credentials(kind), region, service: "sts", sha256: Sha256 });
  const request = {
    method: "GET",
    protocol: url.protocol,
    hostname: url.hostname,
    port: Number(url.port),
    path: "/",
    query: { Action: "GetCallerIdentity", Version: "2011-06-15" },
    headers: { host: url.host, ...headers },
  };
  const signed = await signer.presign(request, { expiresIn: 60, unhoistableHeaders: new Set(Object.keys(headers)) });
  const query = Object.entries(signed.query).map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
  await fetch(`${url.origin}${signed.path}?${query}`, { headers });
}

let ecr = client(ECRClient, "PERMANENT", "us-east-1");
await send(ecr, new GetAuthorizationTokenCommand({}));
await send(ecr, new DescribeRepositoriesCommand({ registryId: "123456789012", maxResults: 5 }));
const tags = [{ Key: "Größe", Value: "✓ ok" }];
await send(ecr, new CreateRepositoryCommand({ repositoryName: "team/app", imageTagMutability: "IMMUTABLE", tags }));
await send(ecr, new PutImageCommand({ repositoryName: "team/app", imageManifest: manifest, imageTag: "v1" }));
await send(client(ECRClient, "PERMANENT", "us-east-1", "/a%20prefix/b"), new DescribeRegistryCommand({}));
await send(client(ECRPUBLICClient, "PERMANENT", "us-east-1"), new DescribePublicRepositoriesCommand({}));
let sts = client(STSClient, "PERMANENT", "us-east-1");
await send(sts, new GetCallerIdentityCommand({}));
const role = { RoleArn: roleArn, RoleSessionName: "ci", ExternalId: "a+b/c=d:e@f", Policy: policy };
await send(sts, new AssumeRoleCommand(role));
await send(sts, new GetSessionTokenCommand({ DurationSeconds: 900 }));
await sendPresigned("PERMANENT", "us-east-1", {});

ecr = client(ECRClient, "TEMPORARY", "eu-central-1");
const imageIds = [{ imageTag: "v1" }, { imageTag: "v2" }];
await send(ecr, new BatchGetImageCommand({ repositoryName: "team/app", imageIds }));
await send(ecr, new InitiateLayerUploadCommand({ repositoryName: "team/app" }));
const part = { uploadId: "2f3b1c0e-6f0a-4a0e-9d5b-0c1d2e3f4a5b", partFirstByte: 0, partLastByte: 255 };
const layerPartBlob = Uint8Array.from(Array(256).keys());
await send(ecr, new UploadLayerPartCommand({ repositoryName: "team/app", layerPartBlob, ...part }));
await send(client(ECRClient, "TEMPORARY", "ap-southeast-2"), new ListImagesCommand({ repositoryName: "team/app" }));
sts = client(STSClient, "TEMPORARY", "eu-central-1");
await send(sts, new GetCallerIdentityCommand({}));
await sendPresigned("TEMPORARY", "eu-central-1", { "x-k8s-aws-id": "cluster" });
