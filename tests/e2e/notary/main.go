// Notary's own library against a registry, as its command line uses it: what that would do, and no more.
//
//	notary verify REFERENCE SETTINGS      the trust policy and trust store of a directory decide
//	notary sign REFERENCE KEY CERTIFICATE with a key of one's own
//
// The password of the user AWS is in NOTARY_PASSWORD. It prints the digest, and ends with 1 and the reason otherwise.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/dir"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/notation-go/verifier"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Notation looks at as many signatures of an image by default.
const maxAttempts = 100

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if len(arguments) == 3 && arguments[0] == "verify" {
		return verify(ctx, arguments[1], arguments[2])
	}
	if len(arguments) == 4 && arguments[0] == "sign" {
		return sign(ctx, arguments[1], arguments[2], arguments[3])
	}
	return errors.New("notary verify REFERENCE SETTINGS | notary sign REFERENCE KEY CERTIFICATE")
}

// open answers the repository, and the reference with the digest that it names now: policies want it in full.
func open(ctx context.Context, reference string) (registry.Repository, string, error) {
	repository, err := remote.NewRepository(reference)
	if err != nil {
		return nil, "", err
	}
	repository.PlainHTTP = true
	repository.Client = &auth.Client{
		Credential: auth.StaticCredential(repository.Reference.Host(), auth.Credential{
			Username: "AWS",
			Password: os.Getenv("NOTARY_PASSWORD"),
		}),
	}
	found := registry.NewRepository(repository)
	target, err := found.Resolve(ctx, repository.Reference.Reference)
	if err != nil {
		return nil, "", err
	}
	place := repository.Reference
	return found, fmt.Sprintf("%s/%s@%s", place.Registry, place.Repository, target.Digest), nil
}

func verify(ctx context.Context, reference, settings string) error {
	dir.UserConfigDir = settings
	judge, err := verifier.NewFromConfig()
	if err != nil {
		return err
	}
	repository, name, err := open(ctx, reference)
	if err != nil {
		return err
	}
	options := notation.VerifyOptions{ArtifactReference: name, MaxSignatureAttempts: maxAttempts}
	target, outcomes, err := notation.Verify(ctx, judge, repository, options)
	if err != nil {
		for _, outcome := range outcomes {
			fmt.Fprintln(os.Stderr, outcome.Error)
			for _, result := range outcome.VerificationResults {
				if result.Error != nil {
					fmt.Fprintf(os.Stderr, "%s: %v\n", result.Type, result.Error)
				}
			}
		}
		return err
	}
	fmt.Println(target.Digest)
	return nil
}

func sign(ctx context.Context, reference, key, certificate string) error {
	own, err := signer.NewFromFiles(key, certificate)
	if err != nil {
		return err
	}
	repository, name, err := open(ctx, reference)
	if err != nil {
		return err
	}
	options := notation.SignOptions{ArtifactReference: name}
	options.SignatureMediaType = "application/jose+json"
	target, err := notation.Sign(ctx, own, repository, options)
	if err != nil {
		return err
	}
	fmt.Println(target.Digest)
	return nil
}
