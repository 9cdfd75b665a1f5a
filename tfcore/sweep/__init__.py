"""Many runs, ranked."""
