"""What is deployed, executed: images built step by step without a container, and what runs out of them."""
