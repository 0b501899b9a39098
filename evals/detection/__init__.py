"""Train the injection detector, and judge it on sources that it has not seen."""
