// The requests of the AWS SDK for Go, version 2, for record.py: what it signs, it sends to the recorder.
package main

import (
	"context"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	role   = "arn:aws:iam::123456789012:role/deploy"
	policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
)

var background = context.Background()

// kind: PERMANENT or TEMPORARY, the prefix of the variables that hold the credentials.
func config(kind, region, path string) aws.Config {
	key, secret, token := os.Getenv(kind+"_ACCESS_KEY"), os.Getenv(kind+"_SECRET_KEY"), os.Getenv(kind+"_SESSION_TOKEN")
	return aws.Config{
		Region:       region,
		Credentials:  credentials.NewStaticCredentialsProvider(key, secret, token),
		BaseEndpoint: aws.String(os.Getenv("RECORDER_ENDPOINT") + path),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// The recorder denies everything, so every error is expected.
func sendPresigned(client *sts.Client, cluster string) {
	presigner := sts.NewPresignClient(client, func(options *sts.PresignOptions) {
		options.ClientOptions = append(options.ClientOptions, func(options *sts.Options) {
			options.APIOptions = append(options.APIOptions, smithyhttp.SetHeaderValue("X-Amz-Expires", "60"))
			if cluster != "" {
				options.APIOptions = append(options.APIOptions, smithyhttp.SetHeaderValue("x-k8s-aws-id", cluster))
			}
		})
	})
	signed, err := presigner.PresignGetCallerIdentity(background, &sts.GetCallerIdentityInput{})
	if err != nil {
		panic(err)
	}
	request, err := http.NewRequest(signed.Method, signed.URL, nil)
	if err != nil {
		panic(err)
	}
	for name, values := range signed.SignedHeader {
		request.Header[name] = values
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		response.Body.Close()
	}
}

func permanent() {
	repository := aws.String("team/app")
	client := ecr.NewFromConfig(config("PERMANENT", "us-east-1", ""))
	client.GetAuthorizationToken(background, &ecr.GetAuthorizationTokenInput{})
	client.DescribeRepositories(background, &ecr.DescribeRepositoriesInput{
		RegistryId: aws.String("123456789012"), MaxResults: aws.Int32(5),
	})
	client.CreateRepository(background, &ecr.CreateRepositoryInput{
		RepositoryName: repository, ImageTagMutability: types.ImageTagMutabilityImmutable,
		Tags: []types.Tag{{Key: aws.String("Größe"), Value: aws.String("✓ ok")}},
	})
	client.PutImage(background, &ecr.PutImageInput{
		RepositoryName: repository, ImageManifest: aws.String(os.Getenv("RECORDER_MANIFEST")), ImageTag: aws.String("v1"),
	})
	prefixed := ecr.NewFromConfig(config("PERMANENT", "us-east-1", "/a%20prefix/b"))
	prefixed.DescribeRegistry(background, &ecr.DescribeRegistryInput{})
	public := ecrpublic.NewFromConfig(config("PERMANENT", "us-east-1", ""))
	public.DescribeRepositories(background, &ecrpublic.DescribeRepositoriesInput{})
	tokens := sts.NewFromConfig(config("PERMANENT", "us-east-1", ""))
	tokens.GetCallerIdentity(background, &sts.GetCallerIdentityInput{})
	tokens.AssumeRole(background, &sts.AssumeRoleInput{
		RoleArn: aws.String(role), RoleSessionName: aws.String("ci"),
		ExternalId: aws.String("a+b/c=d:e@f"), Policy: aws.String(policy),
	})
	tokens.GetSessionToken(background, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)})
	sendPresigned(tokens, "")
}

func temporary() {
	repository := aws.String("team/app")
	client := ecr.NewFromConfig(config("TEMPORARY", "eu-central-1", ""))
	client.BatchGetImage(background, &ecr.BatchGetImageInput{
		RepositoryName: repository,
		ImageIds:       []types.ImageIdentifier{{ImageTag: aws.String("v1")}, {ImageTag: aws.String("v2")}},
	})
	client.InitiateLayerUpload(background, &ecr.InitiateLayerUploadInput{RepositoryName: repository})
	blob := make([]byte, 256)
	for index := range blob {
		blob[index] = byte(index)
	}
	client.UploadLayerPart(background, &ecr.UploadLayerPartInput{
		RepositoryName: repository, UploadId: aws.String("2f3b1c0e-6f0a-4a0e-9d5b-0c1d2e3f4a5b"),
		PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(255), LayerPartBlob: blob,
	})
	other := ecr.NewFromConfig(config("TEMPORARY", "ap-southeast-2", ""))
	other.ListImages(background, &ecr.ListImagesInput{RepositoryName: repository})
	tokens := sts.NewFromConfig(config("TEMPORARY", "eu-central-1", ""))
	tokens.GetCallerIdentity(background, &sts.GetCallerIdentityInput{})
	sendPresigned(tokens, "cluster")
}

func main() {
	permanent()
	temporary()
}
