"""English words that name nothing in a picture: articles, pronouns, prepositions and the like."""

from __future__ import annotations

CLOSED_CLASSES = """
a an the this that these those some any each every all both no none not other another one
he she it they him her them his hers its their theirs himself herself itself themselves
who whom whose which what there here
in on at of to from with without by for about into onto over under above below behind beside besides
between among through throughout across along around near against toward towards up down off out
inside outside upon before after during while until as like than next front top side
and or but nor so if because when where then
is are was were be been being am has have had having do does did doing can could will would may might must
very too also just only
"""

FUNCTION_WORDS = frozenset(CLOSED_CLASSES.split())
