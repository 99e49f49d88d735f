"""What is deployed: manifests, images and rules held to the code and to the tools that read them, and executed."""
