// The requests of the AWS SDK for Java, version 2, for record.py: what it signs, it sends to the recorder.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Map;
import java.util.function.Supplier;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.awscore.client.builder.AwsSyncClientBuilder;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.http.auth.aws.signer.AwsV4FamilyHttpSigner;
import software.amazon.awssdk.http.auth.aws.signer.AwsV4HttpSigner;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.ecr.EcrClient;
import software.amazon.awssdk.services.ecr.model.ImageIdentifier;
import software.amazon.awssdk.services.ecr.model.ImageTagMutability;
import software.amazon.awssdk.services.ecr.model.Tag;
import software.amazon.awssdk.services.ecrpublic.EcrPublicClient;
import software.amazon.awssdk.services.sts.StsClient;

public final class Requests {
    private static final String ENDPOINT = System.getenv("RECORDER_ENDPOINT");
    private static final String MANIFEST = System.getenv("RECORDER_MANIFEST");
    private static final String ROLE = "arn:aws:iam::123456789012:role/deploy";
    private static final String POLICY =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"ecr:*\",\"Resource\":\"*\"}]}";

    // kind: PERMANENT or TEMPORARY, the prefix of the variables that hold the credentials.
    private static AwsCredentials credentials(String kind) {
        String key = System.getenv(kind + "_ACCESS_KEY");
        String secret = System.getenv(kind + "_SECRET_KEY");
        String token = System.getenv(kind + "_SESSION_TOKEN");
        return token == null ? AwsBasicCredentials.create(key, secret) : AwsSessionCredentials.create(key, secret, token);
    }

    private static <B extends AwsClientBuilder<B, C> & AwsSyncClientBuilder<B, C>, C> C client(
            B builder, String kind, String region, String path) {
        return builder
            .endpointOverride(URI.create(ENDPOINT + path))
            .region(Region.of(region))
            .credentialsProvider(StaticCredentialsProvider.create(credentials(kind)))
            .overrideConfiguration(override -> override.retryStrategy(DefaultRetryStrategy.doNotRetry()))
            .httpClient(UrlConnectionHttpClient.create())
            .build();
    }

    // The recorder denies everything.
    private static void send(Supplier<?> operation) {
        try {
            operation.get();
        } catch (SdkException expected) {
            return;
        }
    }

    private static void sendPresigned(String kind, String region, Map<String, String> headers) throws Exception {
        SdkHttpRequest.Builder request = SdkHttpRequest.builder()
            .method(SdkHttpMethod.GET)
            .uri(URI.create(ENDPOINT + "/"))
            .putRawQueryParameter("Action", "GetCallerIdentity")
            .putRawQueryParameter("Version", "2011-06-15");
        headers.forEach(request::putHeader);
        SdkHttpRequest signed = AwsV4HttpSigner.create().sign(signing -> signing
            .identity(credentials(kind))
            .request(request.build())
            .putProperty(AwsV4HttpSigner.SERVICE_SIGNING_NAME, "sts")
            .putProperty(AwsV4HttpSigner.REGION_NAME, region)
            .putProperty(AwsV4HttpSigner.AUTH_LOCATION, AwsV4FamilyHttpSigner.AuthLocation.QUERY_STRING)
            .putProperty(AwsV4HttpSigner.EXPIRATION_DURATION, Duration.ofSeconds(60))).request();
        HttpRequest.Builder sent = HttpRequest.newBuilder(signed.getUri()).version(HttpClient.Version.HTTP_1_1);
        headers.forEach(sent::header);
        HttpClient.newHttpClient().send(sent.build(), BodyHandlers.discarding());
    }

    private static void permanent() throws Exception {
        EcrClient ecr = client(EcrClient.builder(), "PERMANENT", "us-east-1", "");
        send(() -> ecr.getAuthorizationToken());
        send(() -> ecr.describeRepositories(input -> input.registryId("123456789012").maxResults(5)));
        Tag tag = Tag.builder().key("Größe").value("✓ ok").build();
        send(() -> ecr.createRepository(input -> input
            .repositoryName("team/app").imageTagMutability(ImageTagMutability.IMMUTABLE).tags(tag)));
        send(() -> ecr.putImage(input -> input.repositoryName("team/app").imageManifest(MANIFEST).imageTag("v1")));
        EcrClient prefixed = client(EcrClient.builder(), "PERMANENT", "us-east-1", "/a%20prefix/b");
        send(() -> prefixed.describeRegistry(input -> { }));
        EcrPublicClient open = client(EcrPublicClient.builder(), "PERMANENT", "us-east-1", "");
        send(() -> open.describeRepositories(input -> { }));
        StsClient sts = client(StsClient.builder(), "PERMANENT", "us-east-1", "");
        send(() -> sts.getCallerIdentity());
        send(() -> sts.assumeRole(input -> input
            .roleArn(ROLE).roleSessionName("ci").externalId("a+b/c=d:e@f").policy(POLICY)));
        send(() -> sts.getSessionToken(input -> input.durationSeconds(900)));
        sendPresigned("PERMANENT", "us-east-1", Map.of());
    }

    private static void temporary() throws Exception {
        EcrClient ecr = client(EcrClient.builder(), "TEMPORARY", "eu-central-1", "");
        ImageIdentifier first = ImageIdentifier.builder().imageTag("v1").build();
        ImageIdentifier second = ImageIdentifier.builder().imageTag("v2").build();
        send(() -> ecr.batchGetImage(input -> input.repositoryName("team/app").imageIds(first, second)));
        send(() -> ecr.initiateLayerUpload(input -> input.repositoryName("team/app")));
        byte[] blob = new byte[256];
        for (int index = 0; index < blob.length; index++) {
            blob[index] = (byte) index;
        }
        send(() -> ecr.uploadLayerPart(input -> input
            .repositoryName("team/app").uploadId("2f3b1c0e-6f0a-4a0e-9d5b-0c1d2e3f4a5b")
            .partFirstByte(0L).partLastByte(255L).layerPartBlob(SdkBytes.fromByteArray(blob))));
        EcrClient other = client(EcrClient.builder(), "TEMPORARY", "ap-southeast-2", "");
        send(() -> other.listImages(input -> input.repositoryName("team/app")));
        StsClient sts = client(StsClient.builder(), "TEMPORARY", "eu-central-1", "");
        send(() -> sts.getCallerIdentity());
        sendPresigned("TEMPORARY", "eu-central-1", Map.of("x-k8s-aws-id", "cluster"));
    }

    public static void main(String[] arguments) throws Exception {
        permanent();
        temporary();
    }
}
