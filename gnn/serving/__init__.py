"""Answers from a trained model: lists, similar products, reasons."""
