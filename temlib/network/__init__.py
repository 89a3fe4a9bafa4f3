"""The network: a U-Net on MobileNet's encoder, trained, applied and judged."""
