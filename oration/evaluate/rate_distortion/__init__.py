"""Codecs beside Opus, codec2 and Griffin-Lim on held-out clips: what every kbit/s buys, measure by measure.

peers, models   code one clip and give it back, with the bits that it took
lag             one constant delay a system, found the same way for all and taken out
measures        what one clip adds to each measure
compare         all systems at all rates, with intervals, and who wins, paired by clip
page            the same as tables, plots and players
"""
