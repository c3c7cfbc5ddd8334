"""Learned multi-view matching in UV space: which displacement of a texel do the views agree on?"""
