"""What is deployed, held to the code that it deploys."""
