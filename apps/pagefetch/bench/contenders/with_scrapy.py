"""Scrapy. Its callbacks have no timeout: what they wait for has one."""

import asyncio
import json
import resource
import sys
import time

from twisted.internet import asyncioreactor

asyncioreactor.install()

from scrapy import Request, Spider, signals  # noqa: E402
from scrapy.crawler import CrawlerRunner  # noqa: E402
from scrapy.utils.defer import deferred_to_future, maybe_deferred_to_future  # noqa: E402
from twisted.internet import reactor  # noqa: E402

plan = json.loads(sys.argv[1])
base, count = plan["base"], plan["count"]


def say(what):
    print(json.dumps(what), flush=True)


class Clock:
    """A downloader middleware: when a page was asked for, and how long it took."""

    began = None
    times = []

    def process_request(self, request, spider):
        request.meta["at"] = time.perf_counter()
        Clock.began = Clock.began or request.meta["at"]

    def process_response(self, request, response, spider):
        Clock.times.append((time.perf_counter() - request.meta["at"]) * 1000)
        return response


class Pages(Spider):
    name = "pages"

    def start_requests(self):
        for n in range(count):
            yield Request(f"{base['load']}/?n={n}")

    def parse(self, response):
        if len(response.text) != 20_000:
            raise ValueError("not the page")


class Handlers(Spider):
    name = "handlers"

    def start_requests(self):
        for n in range(count):
            yield Request(f"{base['ticks']}/{n}", callback=self.tick)
            yield Request(f"{base['never']}/?n={n}")

    def parse(self, response):
        pass

    async def tick(self, response):
        while True:
            again = self.crawler.engine.download(response.request.copy())
            await maybe_deferred_to_future(again)
            await asyncio.sleep(0.1)


class Polite(Spider):
    name = "polite"

    def start_requests(self):
        for url in plan["urls"]:
            yield Request(url)

    def parse(self, response):
        pass


together = {"CONCURRENT_REQUESTS": 4 * count, "CONCURRENT_REQUESTS_PER_DOMAIN": 4 * count}
scenarios = {
    "load": (
        Pages,
        {
            "CONCURRENT_REQUESTS": plan["concurrency"],
            "CONCURRENT_REQUESTS_PER_DOMAIN": plan["concurrency"],
            "DOWNLOADER_MIDDLEWARES": {Clock: 1},
        },
    ),
    "timeout": (Handlers, {**together, "DOWNLOAD_TIMEOUT": 1, "RETRY_ENABLED": False}),
    "cancel": (Handlers, {**together, "RETRY_ENABLED": False}),
    # What `scrapy startproject` writes.
    "polite": (Polite, {"ROBOTSTXT_OBEY": True}),
}
usual = {
    "LOG_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False,
    "REQUEST_FINGERPRINTER_IMPLEMENTATION": "2.7",
    "TWISTED_REACTOR": "twisted.internet.asyncioreactor.AsyncioSelectorReactor",
}


async def main():
    spider, settings = scenarios[plan["scenario"]]
    runner = CrawlerRunner({**usual, **settings})
    crawler = runner.create_crawler(spider)
    crawling = deferred_to_future(runner.crawl(crawler))
    if plan["scenario"] == "cancel":
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await deferred_to_future(crawler.stop())
    await crawling
    if plan["scenario"] == "load":
        seconds = time.perf_counter() - Clock.began
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        say({"seconds": seconds, "times": Clock.times, "rss": rss})
    say({"ended": True})


reactor.callWhenRunning(lambda: asyncio.ensure_future(main()))
reactor.run()
