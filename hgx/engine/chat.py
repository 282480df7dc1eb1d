"""How to hold a conversation with a model whose file brings no chat template.

Such a file is mostly a base model: it continues text. llama.cpp would fall back to ChatML, whose
markers it has never seen; a base model then repeats them without end. Questions and answers in
plain words it has seen. Compared on Gemma 3 270M (base), five questions, 60 tokens, greedy:
ChatML answered none and never stopped; this template answered two and stopped in four.
"""

from __future__ import annotations

PLAIN_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{{ 'Question: ' + message.content + '\\n' }}
{%- elif message.role == 'assistant' -%}
{{ 'Answer: ' + message.content + '\\n\\n' }}
{%- else -%}
{{ message.content + '\\n\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'Answer:' }}{%- endif -%}
"""
"""Jinja template of questions and answers; system texts stand as paragraphs of their own."""

PLAIN_STOP = ("\nQuestion:", "\nAnswer:")
"""Where an answer under that template ends: at the next one, which the model would invent.

The engine applies it to plain completions too, where the request names no ``stop`` of its own.
"""
