"""Notifications: a few words to people elsewhere when a job ends, fails or comes a good part of its way.

``muniment.notices`` says which events are told at all; here they become messages, kept few, and are sent.
"""
