"""What nodes say to each other over the network, and how they tell who is who."""
