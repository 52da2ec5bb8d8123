secret = "my-very-secret
