"""Pieces of chat templates that use what published ones use, and what Jinja has besides.

`BEFORE` stand before the turns, `LOOP` behind each turn.
"""
from __future__ import annotations

import random
import typing

from chats import CHATML
from models import DECODERS, Draft
from spellings import change

BEFORE = {
    "bos_token": "{{ bos_token }}",
    "bos_token defined": "{% if bos_token is defined %}{{ bos_token }}{% endif %}",
    "sep_token defined": "{% if sep_token is defined %}yes{% else %}no{% endif %}",
    "sep_token none": "{{ sep_token is none }}",
    "sep_token or": "{{ sep_token or 'without' }}",
    "undefined name": "[{{ no_such_name }}]",
    "undefined attribute": "[{{ messages[0].nothing }}]",
    "undefined in sum": "{{ 'a' ~ no_such_name ~ 'b' }}",
    "undefined attribute of undefined": "{{ no_such.deeper }}",
    "strftime_now": "{{ strftime_now('%Y') }}",
    "strftime_now day": "{{ strftime_now('%d %b %Y') }}",
    "strftime_now guarded": "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}none{% endif %}",
    "date_string default":
        "{% if not date_string is defined %}{% set date_string = '26 Jul 2024' %}{% endif %}"
        "{{ date_string }}",
    "tools none": "{% if tools is none %}N{% endif %}{% if not tools %}F{% endif %}{{ tools }}",
    "documents": "{{ documents }}|{{ documents is defined }}",
    "tools defined": "{% if tools is not defined %}{% set tools = none %}{% endif %}{{ tools is none }}",
    "builtin_tools": "{% if builtin_tools is defined or tools is not none %}tools{% endif %}",
    "namespace":
        "{% set ns = namespace(n=0, found=false) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
        "{% if m.role == 'user' %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.n }}"
        "{{ ns.found }}",
    "scope of set in a loop": "{% set x = 1 %}{% for m in messages %}{% set x = 2 %}{% endfor %}{{ x }}",
    "set in if": "{% if true %}{% set y = 3 %}{% endif %}{{ y }}",
    "system message":
        "{% if messages[0]['role'] == 'system' %}{% set s = messages[0]['content'] %}"
        "{% set rest = messages[1:] %}{% else %}{% set s = 'none' %}{% set rest = messages %}{% endif %}"
        "[{{ s }}]{{ rest | length }}",
    "print list": "{{ ['a', \"b'c\", 'é', 1, 2.0, true, none] }}",
    "print map": "{{ {'a': 1, 'é': [1, 'x']} }}",
    "print messages": "{{ messages }}",
    "print a message": "{{ messages[0] }}",
    "print booleans": "{{ true }} {{ false }} {{ none }} {{ True }} {{ None }}",
    "print floats": "{{ 1.0 }} {{ 1/3 }} {{ 7/2 }} {{ 1e20 }} {{ 1e-7 }} {{ 4/2 }} {{ 123456789.0*10 }}",
    "print tuple": "{{ (1, 'a') }} {{ (1,) }}",
    "print escapes": "{{ ['tab\\t', 'line\\n', 'back\\\\', '\\u00e9', '🙂', '\\x7f'] }}",
    "print empty": "{{ [] }}{{ {} }}{{ '' }}",
    "print big": "{{ 10**20 }} {{ 2**63 }} {{ 9223372036854775807 + 1 }}",
    "print nested": "{{ {'a': {'b': [none, {'c': true}]}} }}",
    "print string of map": "{{ {'a': 'x'} | string }}",
    "print in sum": "{{ 'x' ~ [1, 'a'] ~ {'k': none} ~ 1.5 ~ true ~ none }}",
    "join mixed": "{{ [1, 'a', true, none, 2.5] | join(',') }}",
    "tojson": "{{ messages | tojson }}",
    "tojson indent": "{{ messages[0] | tojson(indent=2) }}",
    "tojson ensure_ascii": "{{ messages | tojson(ensure_ascii=True) }}",
    "tojson sort": "{{ {'b': 1, 'a': [1.0, none, true, '</script>', \"it's\"]} | tojson(sort_keys=True) }}",
    "tojson separators": "{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':')) }}",
    "tojson odd": "{{ {'x': 1e20, 'y': 1e-7, 'z': 1/3, 'k': '\\u2028 \\x01 \\x7f <>&', 'e': {}, 'l': []} | tojson }}",
    "tojson indent 4": "{{ {'a': [], 'b': {}, 'c': [1, [2]]} | tojson(indent=4) }}",
    "tojson of a text": "{{ 'é\"\\\\/' | tojson }}",
    "tojson of a number": "{{ 1.0 | tojson }}{{ 3 | tojson }}{{ none | tojson }}",
    "tojson positional": "{{ messages[0] | tojson(true) }}",
    "tojson undefined": "{{ no_such | tojson }}",
    "tojson string key": "{{ {1: 'a', none: 2, true: 3} | tojson }}",
    "integer division":
        "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ 2 ** 3 }} {{ 2 ** -1 }}"
        " {{ 2 ** 0.5 }}",
    "round": "{{ 2.5 | round }} {{ 3.456 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 7 | round }}",
    "abs and int":
        "{{ -3 | abs }} {{ '12' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ '1.5' | float }}"
        " {{ 3.9 | int }} {{ '0x1f' | int(0, 16) }}",
    "string times": "{{ '=' * 5 }}{{ [1] * 3 }}",
    "string format": "{{ '%s is %d, %.2f%%' % ('a', 3, 1.5) }}",
    "format filter": "{{ '%s-%s' | format('a', 2) }}",
    "format method": "{{ '{} {1} {x}'.format('a', 'b', x=3) if false else '{} {}'.format('a', 2) }}",
    "string methods":
        "{{ ' a b '.strip() }}|{{ ' a '.lstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'a,b,c'.split(',') }}"
        "|{{ 'a b  c'.split() }}|{{ 'abc'.startswith('ab') }}|{{ 'abc'.endswith('bc') }}"
        "|{{ 'aBc'.upper() }}{{ 'aBc'.lower() }}{{ 'hello world'.title() }}"
        "{{ 'hello World'.capitalize() }}",
    "string methods 2":
        "{{ 'abcabc'.replace('b', 'x') }}|{{ 'abcabc'.replace('b', 'x', 1) }}|{{ 'abc'.find('c') }}"
        "{{ 'abc'.find('z') }}|{{ 'a-b-c'.rsplit('-', 1) }}|{{ '-'.join(['a', 'b']) }}"
        "|{{ 'ab'.isdigit() }}{{ '12'.isdigit() }}|{{ 'abc'.count('b') }}|{{ 'a\\nb'.splitlines() }}"
        "|{{ '5'.zfill(3) }}",
    "string methods 3":
        "{{ 'prefix-x'.removeprefix('prefix-') }}|{{ 'x.txt'.removesuffix('.txt') }}"
        "|{{ 'a=b=c'.partition('=') }}|{{ 'ab'.center(6) }}|{{ 'ab'.ljust(4) }}|{{ 'aB'.swapcase() }}"
        "|{{ 'a b'.isalpha() }}|{{ 'abc'.index('b') }}|{{ 'é'.encode('utf-8') | length }}",
    "startswith tuple": "{{ 'abc'.startswith(('x', 'ab')) }}",
    "split limit":
        "{{ 'a b c'.split(' ', 1) }}{{ 'a</think>b'.split('</think>')[-1] }}"
        "{{ '\\n\\nx\\n'.lstrip('\\n').rstrip('\\n') }}",
    "slices":
        "{{ 'abcdef'[1:4] }}{{ 'abcdef'[-2:] }}{{ 'abcdef'[::-1] }}{{ [1,2,3,4][::2] }}{{ [1,2,3][-1] }}"
        "{{ 'abc'[0] }}{{ 'abcdef'[:-1] }}{{ 'héllo'[1:3] }}",
    "index out of range": "[{{ [1,2][5] }}]",
    "negative slice of messages": "{% for m in messages[::-1] %}{{ m.role[0] }}{% endfor %}",
    "filters":
        "{{ 'a b' | upper }}{{ 'hello world' | title }}{{ 'hELLO' | capitalize }}{{ ' x ' | trim }}"
        "{{ 'xxaxx' | trim('x') }}{{ 'abc' | replace('b', 'z') }}{{ [3,1,2] | sort }}"
        "{{ [1,2,3] | first }}{{ [1,2,3] | last }}{{ 'abc' | reverse }}{{ [1,2] | reverse | list }}"
        "{{ [1,1,2] | unique | list }}",
    "filters 2":
        "{{ 'a b c' | wordcount }}{{ [1,2,3] | sum }}{{ [1,2,3] | max }}{{ [1,2,3] | min }}"
        "{{ 'abc' | length }}{{ 'abc' | count }}{{ {'b':1,'a':2} | dictsort }}"
        "{{ {'a': 1} | items | list }}{{ 'a' | default('x') }}{{ none | default('x') }}"
        "{{ none | default('x', true) }}{{ '' | d('y', true) }}",
    "filters 3":
        "{{ 'a\\nb' | indent(2) }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent }}"
        "|{{ [1,2,3,4,5] | batch(2) | list }}|{{ 'long text here' | truncate(8) }}"
        "|{{ 'a b c d' | wordwrap(3) }}|{{ 'x' | center(5) }}|{{ [1,2,3] | slice(2) | list }}",
    "filters 4":
        "{{ '<a href=\"x\">&' | escape }}{{ '<b>' | e }}{{ '<b>' | safe }}{{ 'a b/ü' | urlencode }}"
        "{{ '<p>x</p>' | striptags }}{{ 1234567 | filesizeformat }}{{ {'a': 1} | xmlattr }}"
        "{{ 'abc' | list }}",
    "pprint": "{{ {'b': 1, 'a': ['x']} | pprint }}",
    "select":
        "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
        "{{ messages | selectattr('role', '==', 'user') | map(attribute='content') | join('/') }}"
        "{{ messages | rejectattr('role', 'in', ['system']) | list | length }}"
        "{{ [0,1,none,2] | select | list }}{{ [1,2,3] | select('odd') | list }}"
        "{{ [1,2,3] | reject('gt', 1) | list }}",
    "map":
        "{{ ['a','b'] | map('upper') | join }}{{ messages | map(attribute='role') | list }}"
        "{{ messages | map(attribute='x', default='-') | list }}",
    "groupby": "{% for role, ms in messages | groupby('role') %}{{ role }}{{ ms | length }}{% endfor %}",
    "sort attribute":
        "{{ messages | sort(attribute='role') | map(attribute='role') | join(',') }}"
        "{{ ['B','a'] | sort }}{{ ['B','a'] | sort(case_sensitive=true) }}"
        "{{ [1,2] | sort(reverse=true) }}",
    "tests":
        "{{ 1 is number }}{{ 'a' is string }}{{ [] is iterable }}{{ {} is mapping }}{{ [] is sequence }}"
        "{{ 'a' is sequence }}{{ none is none }}{{ 1 is odd }}{{ 2 is even }}{{ 6 is divisibleby(3) }}"
        "{{ true is boolean }}{{ 1 is integer }}{{ 1.0 is float }}{{ 'A' is upper }}{{ 1 is sameas(1) }}"
        "{{ x is undefined }}{{ 1 in [1] }}{{ 'a' not in 'bc' }}{{ 'k' in {'k': 1} }}{{ true is true }}"
        "{{ false is false }}{{ range is callable }}{{ 'upper' is filter }}{{ 'odd' is test }}",
    "not iterable":
        "{{ 5 is iterable }}{{ {'a':1} is sequence }}{{ none is iterable }}{{ 'x' is mapping }}"
        "{{ messages[0] is mapping }}{{ true is number }}{{ true is integer }}",
    "comparisons":
        "{{ 1 < 2 < 3 }}{{ 'a' < 'b' }}{{ 1 == 1.0 }}{{ [1] == [1] }}{{ 'a' != 'b' }}{{ 1 == true }}"
        "{{ none == false }}{{ '' == none }}{{ [1,2] < [1,3] }}",
    "and or values": "{{ '' or 'x' }}{{ 'a' and 'b' }}{{ none or 0 }}{{ 0 and 1 }}{{ not '' }}{{ [] or {} }}",
    "inline if": "[{{ 'x' if false }}]{{ 'a' if true else 'b' }}{{ ('y' if false) is undefined }}",
    "loops":
        "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}"
        "{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{% if not loop.last %}"
        "{{ loop.nextitem.role }}{% endif %}{% if loop.previtem is defined %}{{ loop.previtem.role }}"
        "{% endif %}{{ loop.cycle('a', 'b') }}{{ loop.changed(m.role) }}{% else %}none{% endfor %}",
    "loop else": "{% for m in [] %}x{% else %}empty{% endfor %}",
    "loop filter": "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content[:2] }}{% endfor %}",
    "loop unpack":
        "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}"
        "{% for k in {'x': 1, 'w': 2} %}{{ k }}{% endfor %}{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }}"
        "{% endfor %}",
    "loop controls":
        "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}"
        "{% endif %}{{ i }}{% endfor %}",
    "loop recursive":
        "{% for x in [[1, [2]], 3] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}"
        "{{ loop.depth }}{% endif %}{% endfor %}",
    "range": "{% for i in range(3, 0, -1) %}{{ i }}{% endfor %}{{ range(3) | list }}{{ range(3) }}",
    "dict methods":
        "{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('b', 'z') }}{{ {'a': 1}.get('b') }}"
        "{{ {'a': 1}.keys() | list }}{{ {'a': 1}.values() | list }}{{ messages[0].get('tool_calls') }}"
        "{{ dict(a=1, b=2) }}{{ {'a': 1}.items() | list }}{{ {'items': 5}['items'] }}",
    "attribute or item": "{{ messages[0].role }}{{ messages[0]['role'] }}{{ messages[0] | attr('role') }}",
    "dict copy":
        "{{ {'a': 1}.copy() }}{{ {'a': 1, 'b': 2} | length }}{{ 'a' in {'a': 1} }}"
        "{{ {'a': 1} == {'a': 1.0} }}",
    "list methods":
        "{% set l = [1] %}{% set _ = l.append(2) %}{{ l }}{{ [1,2,1].count(1) }}{{ [1,2].index(2) }}"
        "{{ l + [3] }}{{ l.pop() }}{{ l }}",
    "list insert": "{% set l = [1] %}{% do l.insert(0, 2) %}{{ l }}",
    "dict update": "{% set d = {'a': 1} %}{% set _ = d.update({'b': 2}) %}{{ d }}",
    "macro": "{% macro f(a, b='x') %}<{{ a }}{{ b }}>{% endmacro %}{{ f(1) }}{{ f('q', b=2) }}",
    "macro whitespace": "{%- macro f(a) %}\n  {{ a }}\n{%- endmacro %}[{{ f(1) }}]",
    "macro caller": "{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}in{% endcall %}",
    "macro varargs": "{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, k=3) }}",
    "macro reads outer": "{% set o = 'outer' %}{% macro f() %}{{ o }}{{ bos_token }}{% endmacro %}{{ f() }}",
    "macro string methods": "{% macro f(a) %} {{ a }} {% endmacro %}[{{ f('q').strip() }}]{{ f(1) | trim | length }}",
    "set block": "{% set x %}a{{ 1 }}b{% endset %}[{{ x }}]{{ x | upper }}",
    "set block filter": "{% set x | upper %}abc{% endset %}{{ x }}",
    "filter block": "{% filter upper %}abc é{% endfilter %}",
    "raw": "{% raw %}{{ x }}{% endraw %}",
    "comment": "a{# {{ x }} #}b{#- c -#} d",
    "with": "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}",
    "tuple set": "{% set a, b = 1, 'x' %}{{ a }}{{ b }}",
    "whitespace":
        "a  {%- if true %}  b  {%- endif %}  c {{- 'd' -}} e\n{% if true %}\n  f\n{% endif %}"
        "\n  {% set q = 1 %}\ng",
    "whitespace plus": "a\n  {%+ if true %}b{% endif +%}\nc",
    "whitespace minus comment": "a \n {#- x -#} \n b",
    "line breaks": "a\n\n{{ 'b' }}\n\n{% if true %}c\n{% endif %}\n",
    "tabs": "\t{% if true %}\tx\t{% endif %}\t",
    "windows line ends": "a\r\n{% if true %}\r\nb{% endif %}\r\n",
    "lstrip inline": "x {% if true %}y{% endif %}",
    "escapes": "{{ 'a\\tb\\\\n\\'q\\'' }}{{ \"d\\\"q\" }}{{ '\\u00e9\\x41\\n' }}{{ 'a' 'b' }}",
    "autoescape": "{% autoescape true %}{{ '<b>' }}{% endautoescape %}",
    "html stays": "{{ '<b>&\"' }}",
    "generation": "{% generation %}gen{{ 1 }}{% endgeneration %}",
    "raise not reached": "{% if false %}{{ raise_exception('no') }}{% endif %}ok",
    "raise": "{{ raise_exception('no such turn') }}",
    "alternation":
        "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) and m['role'] != 's"
        "ystem' and messages[0].role != 'system' %}{{ raise_exception('must alternate') }}{% endif %}"
        "{% endfor %}ok",
    "include": "{% include 'x' %}",
    "import": "{% import 'x' as y %}",
    "extends": "{% extends 'x' %}",
    "block": "{% block a %}x{% endblock %}",
    "do": "{% do messages %}x",
    "trans": "{% trans %}x{% endtrans %}",
    "debug": "{% debug %}",
    "cycler": "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}",
    "joiner": "{% set j = joiner(',') %}{{ j() }}a{{ j() }}b",
    "lipsum": "{{ lipsum(n=1, html=false) | length > 0 }}",
    "self and context": "{{ self is defined }}",
    "numbers": "{{ 1_000 }}{{ 0x1F }}{{ 1.5e3 }}{{ .5 if false else 0.5 }}{{ 0b11 }}",
    "string compare in": "{{ 'tool' in messages[0] }}{{ 'role' in messages[0] }}{{ 'u' in messages[0].role }}",
    "content is string":
        "{% if messages[0].content is string %}s{% elif messages[0].content is mapping %}m{% endif %}",
    "tool_calls":
        "{% for m in messages %}{% if m.tool_calls is defined and m.tool_calls %}T{% elif m.tool_calls %}"
        "U{% else %}-{% endif %}{% endfor %}",
    "add_generation_prompt": "{{ add_generation_prompt }}{{ continue_final_message is defined }}",
    "enable_thinking": "{% if enable_thinking is defined and enable_thinking is false %}off{% else %}on{% endif %}",
    "xml": "<tool_call>\n{\"name\": <function-name>}\n</tool_call>",
    "percent": "100% {{ '%' }} { % {{ '{{' }}",
    "nonascii": "日本語 é 🙂 {{ '日本' | length }}{{ 'é' | upper }}{{ 'ß' | upper }}{{ 'İ' | lower | length }}",
    "unicode escape": "{{ '\\U0001F642' }}{{ '\\N{BULLET}' }}",
    "dunder": "{{ ''.__class__ }}",
    "sandbox": "{{ messages.__len__() }}",
    "format spec": "{{ '{:>5}|{:.2f}|{:,}'.format('a', 1.234, 12345) }}",
    "string join map": "{{ messages | map(attribute='content') | map('trim') | join('\\n') }}",
    "deep set": "{% set ns = namespace() %}{% set ns.a = [] %}{% set ns.a = ns.a + [1] %}{{ ns.a }}",
    "ns undefined": "{% set ns = namespace() %}[{{ ns.missing }}]",
    "if is not none": "{% if sep_token is not none %}a{% else %}b{% endif %}{{ sep_token is defined }}",
    "list in if":
        "{% if messages[0].role not in ['user', 'system'] %}x{% endif %}"
        "{{ messages | length > 1 and messages[1].role or 'no' }}",
    "split think":
        "{% for m in messages %}{% set c = m.content %}{% if '</think>' in c %}"
        "{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}{{ c | length }}{% endfor %}",
    "loop index math": "{% for m in messages %}{{ (messages | length - 1) - loop.index0 }}{% endfor %}",
    "last query":
        "{% set ns = namespace(multi=true, last=messages|length - 1) %}"
        "{% for message in messages[::-1] %}{% set index = (messages|length - 1) - loop.index0 %}"
        "{% if ns.multi and message.role == 'user' and message.content is string and not(message.content."
        "startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}"
        "{% set ns.multi = false %}{% set ns.last = index %}{% endif %}{% endfor %}{{ ns.last }}",
    "map of lists": "{{ {'a': [1,2]}['a'][1] }}{{ {'a': {'b': 3}}.a.b }}",
    "string to list": "{{ 'abc' | list | join('-') }}{{ ('a,b' | replace(',', ' ')).split() | join('|') }}",
    "bool sum": "{{ true + 1 }}{{ true ~ '' }}{{ [true, false] | sum }}",
    "string number": "{{ '5' + '6' }}{{ '5' ~ 6 }}",
    "float text": "{{ 3.0 ~ '' }}{{ 1e16 }}{{ 0.1 + 0.2 }}{{ 100000000000000000000.0 }}{{ 5 / 1 }}",
    "xor and bits": "{{ 5 > 3 and not 2 > 3 }}",
    "int of bool": "{{ true | int }}{{ '3' | int + 1 }}",
    "length of map": "{{ messages[0] | length }}{{ messages[0].items() | list | length }}",
    "none attribute": "[{{ none.x }}]",
    "loop over string": "{% for c in 'héy' %}{{ c }}-{% endfor %}",
    "loop over none": "{% for c in none %}x{% endfor %}",
    "loop over undefined": "{% for c in no_such %}x{% else %}e{% endfor %}",
    "call undefined": "{{ no_such() }}",
    "unknown filter": "{{ 'a' | no_such_filter }}",
    "unknown test": "{{ 'a' is no_such_test }}",
    "unknown method": "{{ 'a'.no_such_method() }}",
    "add string and number": "{{ 'a' + 1 }}",
    "syntax error": "{% if %}",
    "unclosed": "{% for m in messages %}x",
}
LOOP = {
    "dot": "{{ message.content }}",
    "get": "{{ message.get('content') }}{{ message.get('name', '') }}",
    "trim": "{{ message['content'] | trim }}",
    "strip": "{{ message.content.strip() }}",
    "tojson": "{{ message.content | tojson }}",
    "generation":
        "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}{% endgeneration %}"
        "{% endif %}",
    "first": "{% if loop.first %}F{% endif %}{% if loop.last %}L{% endif %}{{ loop.index0 % 2 }}",
    "continue": "{% if message.role == 'system' %}{% continue %}{% endif %}x",
    "print": "{{ message }}",
    "name": "{% if 'name' in message %}{{ message.name }}{% endif %}{{ message.name is defined }}",
    "reasoning":
        "{% if message.reasoning_content is defined and message.reasoning_content is not none %}"
        "R{% endif %}",
    "capitalised role": "{{ message.role | capitalize }}: {{ message.role.upper() }}",
    "eos between": "{{ message.content ~ eos_token }}",
    "iterates content":
        "{% if message.content is not string %}{% for part in message.content %}{{ part.text }}"
        "{% endfor %}{% endif %}",
    "replace": "{{ message.content | replace('\\n', ' ') | replace('\"', '') }}",
    "items": "{% for k, v in message.items() %}{{ k }}:{{ v }};{% endfor %}",
    "dictsort": "{% for k, v in message | dictsort %}{{ k }}{% endfor %}",
    "slice": "{{ message.content[:5] }}{{ message.content[-3:] }}",
    "lines": "{{ message.content.splitlines() | length }}{{ message.content.split('\\n') }}",
    "length": "{{ message.content | length }}{{ message.content | wordcount }}",
    "indent": "{{ message.content | indent(4) }}",
    "urlencode": "{{ message.content | urlencode }}",
    "title": "{{ message.content | title }}",
    "upper": "{{ message.content | upper }}{{ message.content.lower() }}",
    "escape": "{{ message.content | e }}",
    "repr": "{{ [message.content] }}",
    "format": "{{ '%s' % message.content }}{{ '%r' % message.content }}",
    "json string": "{{ (message | tojson) ~ '\\n' }}",
    "truncate": "{{ message.content | truncate(10) }}",
    "center": "{{ message.content | center(30) }}",
    "wordwrap": "{{ message.content | wordwrap(8) }}",
    "striptags": "{{ message.content | striptags }}",
    "count": "{{ message.content.count('e') }}{{ message.content.find('1') }}",
    "is upper": "{{ message.content is upper }}{{ message.content is lower }}{{ message.content.isupper() }}",
    "casefold": "{{ message.content.casefold() }}{{ message.content.swapcase() }}",
    "reverse": "{{ message.content | reverse }}",
    "sort letters": "{{ message.content | list | sort | join }}",
    "unique letters": "{{ message.content | unique | join }}",
}


def piece(name: str, make: typing.Callable[[str], str], family: tuple[str, ...] = DECODERS) -> None:
    def apply(draft: Draft, rng: random.Random) -> None:
        config = draft.files["tokenizer_config.json"]
        config["chat_template"] = make(config["chat_template"])
    change("template: " + name, family, "template", group="piece")(apply)


for _name, _text in BEFORE.items():
    piece(_name, lambda template, text=_text: text + template)
for _name, _text in LOOP.items():
    piece("in loop, " + _name, lambda template, text=_text: CHATML.replace("LOOP", text))
