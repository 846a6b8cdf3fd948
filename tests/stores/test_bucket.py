"""What a registry does whose bytes are in S3."""


def test_an_image_is_pushed_and_pulled(start, moto, bucket):
    sim = start()
    image = sim.push("app", "v1")
    ecr = sim.client()
    assert ecr.describe_images(repositoryName="app")["imageDetails"][0]["imageDigest"] == image.digest
    assert ecr.batch_check_layer_availability(repositoryName="app", layerDigests=list(image.blobs))["failures"] == []
