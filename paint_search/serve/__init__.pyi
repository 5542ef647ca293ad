from .app import make_app as make_app
from .client import Client as Client
from .door import Door as Door
from .gallery import Gallery as Gallery
from .gallery import Limits as Limits
from .running import run as run
