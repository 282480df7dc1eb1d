"""The words that people read to each other: short, common, and hard to take for one another.

From any one to any other it takes three changed letters, so a typo is found and has one cure.
"""

from __future__ import annotations

_TEXT = """
acorn album amber anchor angel apple april artist atlas attic autumn avocado badge bakery balcony
ballet balloon bamboo banana banjo barrel beaver bicycle blanket blossom bonfire boulder bracelet
branch bronze brush buffalo camera campus canoe cargo castle cherry chimney chorus cinema circus
clover coconut comet compass copper cottage cotton cradle crayon cricket crystal cucumber curtain
cushion daisy denim diamond dinner dolphin domino drawer eagle elbow elephant elevator emerald
engine envelope evening fabric farmer feather flamingo flannel forest fossil fountain fridge
frozen galaxy gallery garden garlic gecko giraffe granite gravel guitar hamster harbor harvest
hazel horizon husky iceberg igloo indigo insect island ivory jaguar jelly jersey jigsaw jungle
kangaroo kettle kingdom kitchen koala ladder lantern laptop laundry lemon leopard library lilac
lotus magnet mammoth marble melody mermaid meteor mirror mitten monkey morning mosaic muffin
museum mustard napkin noodle nugget nutmeg oasis octopus office olive onion opera orange orchid
otter oven oxygen palace pancake panther papaya paper peanut pebble pelican pencil penguin piano
pickle picnic pigeon pillow pirate plaza poppy powder printer prism pumpkin puppet puzzle pyramid
rabbit radar radish rainbow record ribbon robin rubber ruby saddle safari salad salmon sandal
satin saucer scarf school scooter seagull season shadow shovel silver sketch slipper socket sofa
sparrow spider spiral sponge spoon squirrel stadium statue stereo studio sugar summer sunset
swallow sweater target teapot temple tennis thunder tiger toaster tomato topaz torch tractor tulip
tunnel turbine turkey turtle tuxedo twilight umbrella unicorn vanilla velvet violin volcano voyage
vulture waffle wagon walrus weasel whisper window wizard wolf wombat woodland zebra zigzag
"""

WORDS = tuple(_TEXT.split())
"""256 of them, so that each stands for a byte."""
