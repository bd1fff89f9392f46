"""Titles and names as lists of words that compare: lower case, without accents, apostrophes and punctuation."""

from __future__ import annotations

_UNESCAPED = r"replace(regexp_replace(title, '(&#0*39;|&apos;|&rsquo;|[''`\x{2019}\x{B4}])', '', 'g'), '&amp;', '&')"
"""Apostrophes are part of a word (Burt's, Burts); shops' exports often hold the entities of web pages."""

_PLAIN = f"strip_accents(lower(replace(regexp_replace({_UNESCAPED}, '&#[0-9]+;|&[a-z]+;', ' ', 'g'), '&', ' and ')))"

WORDS_MACRO = rf"sg_words(title) AS regexp_extract_all({_PLAIN}, '[\p{{L}}\p{{N}}]+')"
"""Macro of the working database: text -> its words."""
